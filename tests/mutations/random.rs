//! Numbers that look random and follow from a seed: Marsaglia's xorshift. The same on every machine; no good for
//! secrets.

use std::ops::Range;

#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // The state must not be 0, and neighbouring seeds are to have nothing in common.
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        (0..8).for_each(|_| _ = random.next());
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `limit`; 0 if there is none.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or_default() % limit.max(1)
    }

    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.next() >> 56).unwrap_or_default()
    }

    pub fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    /// A piece of something `len` long. It is not empty unless that is, and mostly short.
    pub fn piece(&mut self, len: usize) -> Range<usize> {
        let start = self.below(len);
        let most = if self.below(4) == 0 { len } else { 16 };
        start..len.min(start + 1 + self.below(most))
    }
}
