//! Compressing a body in slices, so that a large one never holds the loop.
//!
//! A compressor's tables are large (a quarter of a megabyte) and must be cleared for each body, so they are few and used
//! again: a small body borrows one for a moment; large ones, which keep theirs over many slices, are at most 4 at once.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::transport::Payload;

/// Input per slice: well under a millisecond's work.
pub(super) const SLICE: usize = 64 * 1024;
/// Compressors in use or kept.
const MAX_LARGE: usize = 4;
/// Measured on JSON traces: 4 KB take 10 us at level 1, 21 us at 2 and 25 us at 3; 1 MB shrinks 3.5, 4.8 and 5.1 times. The
/// first level takes most of the bytes away for half of the time, which is the application's: a flush waits for it.
const LEVEL: u32 = 1;

/// The compressors that nobody uses.
#[derive(Default)]
pub(super) struct Compressors {
    idle: Vec<Compress>,
    /// Lent over more than one slice.
    lent: usize,
}

impl Compressors {
    /// Gives back what nobody uses: a compressor is a third of a megabyte.
    pub(super) fn shrink(&mut self) {
        self.idle = Vec::new();
    }

    fn take(&mut self) -> Compress {
        self.idle.pop().unwrap_or_else(|| Compress::new_gzip(Compression::new(LEVEL), 15))
    }

    fn give_back(&mut self, mut compress: Compress) {
        if self.idle.len() < MAX_LARGE {
            compress.reset();
            self.idle.push(compress);
        }
    }

    /// Bytes that idle compressors may hold are not counted: they are few and constant.
    fn may_lend(&self) -> bool {
        self.lent < MAX_LARGE
    }
}

/// One body on its way to gzip.
#[derive(Default)]
pub(super) struct Packing {
    compress: Option<Compress>,
    chunk: usize,
    offset: usize,
    pub(super) packed: Vec<u8>,
}

/// How far it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Packed {
    Done,
    /// More slices to go, or no compressor free.
    Again,
    /// The compressor gave up, which it never does.
    Broken,
}

impl Packing {
    /// Does one slice.
    pub(super) fn step(&mut self, payload: &Payload, compressors: &mut Compressors) -> Packed {
        let small = payload.len() <= SLICE;
        let mut compress = match self.compress.take() {
            Some(compress) => compress,
            None if small => compressors.take(),
            None if compressors.may_lend() => {
                compressors.lent += 1;
                compressors.take()
            }
            None => return Packed::Again,
        };
        if self.packed.capacity() == 0 {
            // Traces are text: a third is the usual; a wrong guess costs a copy.
            self.packed.reserve(payload.len() / 3 + 512);
        }
        let result = self.slice(payload, &mut compress);
        if result == Packed::Again {
            self.compress = Some(compress);
        } else {
            if !small {
                compressors.lent -= 1;
            }
            compressors.give_back(compress);
        }
        result
    }

    fn slice(&mut self, payload: &Payload, compress: &mut Compress) -> Packed {
        let mut budget = SLICE;
        let chunks = payload.chunks();
        while let Some(chunk) = chunks.get(self.chunk) {
            let input = chunk.get(self.offset..).unwrap_or_default();
            if input.is_empty() {
                self.chunk += 1;
                self.offset = 0;
                continue;
            }
            if budget == 0 {
                return Packed::Again;
            }
            let input = input.get(..budget).unwrap_or(input);
            self.make_room();
            let before = compress.total_in();
            if compress.compress_vec(input, &mut self.packed, FlushCompress::None).is_err() {
                return Packed::Broken;
            }
            let used = usize::try_from(compress.total_in() - before).unwrap_or(input.len());
            self.offset += used;
            budget -= used.min(budget);
        }
        loop {
            self.make_room();
            match compress.compress_vec(&[], &mut self.packed, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => return Packed::Done,
                Ok(_) => {}
                Err(_) => return Packed::Broken,
            }
        }
    }

    fn make_room(&mut self) {
        if self.packed.capacity() - self.packed.len() < 64 {
            self.packed.reserve((self.packed.len() / 2).clamp(4096, 1 << 20));
        }
    }

    /// Gives a borrowed compressor back when the attempt ends early.
    pub(super) fn abandon(&mut self, compressors: &mut Compressors) {
        if let Some(compress) = self.compress.take() {
            compressors.lent -= 1;
            compressors.give_back(compress);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use bytes::Bytes;

    use super::*;

    fn unpack(packed: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn bodies_of_every_size_come_back_and_compressors_are_used_again() {
        let mut compressors = Compressors::default();
        for size in [1, 100, SLICE - 1, SLICE, SLICE + 1, 5 * SLICE + 17] {
            let bytes: Vec<u8> = (0..size).map(|i| (i * i % 251) as u8).collect();
            let chunks: Vec<Bytes> = bytes.chunks(size / 3 + 1).map(Bytes::copy_from_slice).collect();
            let payload = Payload::new(chunks);
            let mut packing = Packing::default();
            let mut steps = 1;
            while packing.step(&payload, &mut compressors) != Packed::Done {
                steps += 1;
            }
            assert_eq!(steps, size.div_ceil(SLICE).max(1), "{size}");
            assert_eq!(unpack(&packing.packed), bytes);
            assert_eq!((compressors.idle.len(), compressors.lent), (1, 0));
        }
    }

    #[test]
    fn large_bodies_share_few_compressors_and_small_ones_never_wait() {
        let mut compressors = Compressors::default();
        let large = Payload::new(vec![Bytes::from(vec![7; 3 * SLICE])]);
        let mut packings: Vec<Packing> = (0..6).map(|_| Packing::default()).collect();
        for packing in &mut packings {
            assert_eq!(packing.step(&large, &mut compressors), Packed::Again);
        }
        assert_eq!(compressors.lent, MAX_LARGE);
        let small = Payload::new(vec![Bytes::from_static(b"small")]);
        assert_eq!(Packing::default().step(&small, &mut compressors), Packed::Done);
        packings[0].abandon(&mut compressors);
        assert_eq!(compressors.lent, MAX_LARGE - 1);
    }
}
