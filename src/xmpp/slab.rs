//! Things kept in numbered slots, each with a key that no later tenant of the slot answers to.
//!
//! Left out on purpose: an order of the tenants.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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

struct Tenant<T> {
    generation: u32,
    value: T,
}

/// Numbered slots. The lowest free one is taken first, so that those at the end can be given back.
pub(crate) struct Slab<T> {
    slots: Vec<Option<Tenant<T>>>,
    /// Free slots, and some that are no more.
    free: BinaryHeap<Reverse<u32>>,
    len: usize,
    generations: u32,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: BinaryHeap::new(), len: 0, generations: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts in what `make` makes of its key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let key = Key { slot: self.free_slot(), generation: self.generations };
        self.generations = self.generations.wrapping_add(1);
        let value = make(key);
        if let Some(slot) = self.slots.get_mut(key.slot()) {
            *slot = Some(Tenant { generation: key.generation, value });
            self.len += 1;
        }
        key
    }

    fn free_slot(&mut self) -> u32 {
        if let Some(Reverse(slot)) = self.free.pop() {
            if (slot as usize) < self.slots.len() {
                return slot;
            }
            // The lowest is beyond the end, so all are.
            self.free.clear();
        }
        self.slots.push(None);
        u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let tenant = self.slots.get(key.slot())?.as_ref()?;
        (tenant.generation == key.generation).then_some(&tenant.value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let tenant = self.slots.get_mut(key.slot())?.as_mut()?;
        (tenant.generation == key.generation).then_some(&mut tenant.value)
    }

    /// The keys of all tenants.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let tenants = self.slots.iter().zip(0..).filter_map(|(slot, number)| Some((slot.as_ref()?, number)));
        tenants.map(|(tenant, slot)| Key { slot, generation: tenant.generation }).collect()
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        let tenant = self.slots.get_mut(key.slot())?.take()?;
        self.len -= 1;
        self.free.push(Reverse(key.slot));
        drop_vacant(&mut self.slots);
        if self.slots.is_empty() {
            self.free = BinaryHeap::new();
        }
        Some(tenant.value)
    }
}

/// Gives back empty slots at the end, and their memory once most of it is unused. A block that is only shrunk stays
/// where it is and keeps the system from taking back what was freed below it, so at the end it goes altogether.
pub(crate) fn drop_vacant<T>(slots: &mut Vec<Option<T>>) {
    while let Some(None) = slots.last() {
        slots.pop();
    }
    if slots.is_empty() {
        *slots = Vec::new();
    } else if slots.len() < slots.capacity() / 4 {
        slots.shrink_to(slots.len() * 2);
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
        assert_ne!(first, second);
        assert_eq!((slab.get(second), slab.len(), slab.keys()), (Some(&'b'), 1, vec![second]));
    }

    #[test]
    fn what_is_not_used_is_given_back() {
        let mut slab = Slab::new();
        let keys: Vec<Key> = (0..1000).map(|n| slab.insert_with(|_| n)).collect();
        for key in keys.iter().skip(10) {
            slab.remove(*key);
        }
        assert!(slab.slots.capacity() < 50 && slab.len() == 10);
        slab.remove(keys[3]);
        assert_eq!(slab.insert_with(|_| 0).slot(), 3);
        assert_eq!(slab.insert_with(|_| 0).slot(), 10);
        assert_eq!(slab.get(keys[9]), Some(&9));
    }
}
