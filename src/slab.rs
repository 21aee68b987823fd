//! Things kept in numbered slots, each with a key that no later tenant of the slot answers to.
//!
//! Left out on purpose: iteration order, shrinking. Slots are reused, newest first.

/// A slot's number and which of its tenants is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    slot: u32,
    generation: u32,
}

impl Key {
    /// The number of the slot; small, and unique among living keys.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}.{}", self.slot, self.generation)
    }
}

struct Slot<T> {
    generation: u32,
    tenant: Option<T>,
}

/// Numbered slots.
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts in what `make` makes of its key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, tenant: None });
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let mut key = Key { slot, generation: 0 };
        if let Some(place) = self.slots.get_mut(key.slot()) {
            key.generation = place.generation;
            place.tenant = Some(make(key));
        }
        key
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slots.get(key.slot()).filter(|slot| slot.generation == key.generation)?.tenant.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slots.get_mut(key.slot()).filter(|slot| slot.generation == key.generation)?.tenant.as_mut()
    }

    /// The keys of all tenants.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let keys = self.slots.iter().zip(0..).filter(|(slot, _)| slot.tenant.is_some());
        keys.map(|(slot, number)| Key { slot: number, generation: slot.generation }).collect()
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot()).filter(|slot| slot.generation == key.generation)?;
        let tenant = slot.tenant.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(tenant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_outlive_its_tenant() {
        let mut slab = Slab::new();
        let first = slab.insert_with(|_| 'a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert_with(|_| 'b');
        assert_eq!(first.slot(), second.slot());
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!((slab.get(second), slab.len(), slab.keys()), (Some(&'b'), 1, vec![second]));
    }
}
