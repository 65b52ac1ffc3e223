//! A decoder for DEFLATE data written straight from RFC 1951, bit by bit: slow, and it sees each distance.

use alloc::vec::Vec;

/// Decodes all blocks and appends to `said`, which the data may refer to. Back comes the longest distance that
/// was used, or `None` where the data is broken or ends inside a block.
pub(super) fn inflate(input: &[u8], said: &mut Vec<u8>) -> Option<usize> {
    let mut bits = Bits { input, at: 0 };
    let mut longest = 0;
    while bits.at + 3 <= input.len() * 8 {
        let is_final = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => {
                bits.at = bits.at.next_multiple_of(8);
                let (len, complement) = (bits.take(16)?, bits.take(16)?);
                if len != complement ^ 0xFFFF {
                    return None;
                }
                for _ in 0..len {
                    said.push(bits.take(8)?.to_le_bytes()[0]);
                }
            }
            1 => {
                let lengths: Vec<u8> =
                    (0..288).map(|i| [8, 9, 7, 8][[144, 256, 280, 288].partition_point(|&end| end <= i)]).collect();
                longest = longest.max(codes(&mut bits, &Huffman::new(&lengths), &Huffman::new(&[5; 30]), said)?);
            }
            2 => {
                let (literals, distances) = trees(&mut bits)?;
                longest = longest.max(codes(&mut bits, &literals, &distances, said)?);
            }
            _ => return None,
        }
        if is_final {
            bits.at = bits.at.next_multiple_of(8);
        }
    }
    Some(longest)
}

struct Bits<'a> {
    input: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, n: usize) -> Option<usize> {
        let mut value = 0;
        for i in 0..n {
            let bit = self.input.get(self.at / 8)? >> (self.at % 8) & 1;
            value |= usize::from(bit) << i;
            self.at += 1;
        }
        Some(value)
    }
}

/// For each length the first code, and the symbols that have it and those after it (§3.2.2).
struct Huffman([(usize, Vec<usize>); 16]);

impl Huffman {
    fn new(lengths: &[u8]) -> Self {
        let mut next = 0;
        Self(core::array::from_fn(|len| {
            let of_this = lengths.iter().enumerate().filter(|(_, of)| len > 0 && usize::from(**of) == len);
            let symbols: Vec<usize> = of_this.map(|(symbol, _)| symbol).collect();
            let first = next;
            next = (next + symbols.len()) << 1;
            (first, symbols)
        }))
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let mut code = 0;
        for (first, symbols) in &self.0[1..] {
            code = code << 1 | bits.take(1)?;
            if let Some(symbol) = code.checked_sub(*first).and_then(|index| symbols.get(index)) {
                return Some(*symbol);
            }
        }
        None
    }
}

/// §3.2.7
fn trees(bits: &mut Bits<'_>) -> Option<(Huffman, Huffman)> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, count) = (bits.take(5)? + 257, bits.take(5)? + 1, bits.take(4)? + 4);
    let mut of_lengths = [0; 19];
    for symbol in &ORDER[..count] {
        of_lengths[*symbol] = bits.take(3)?.to_le_bytes()[0];
    }
    let of_lengths = Huffman::new(&of_lengths);
    let mut lengths: Vec<u8> = Vec::new();
    while lengths.len() < literals + distances {
        let (len, times) = match of_lengths.symbol(bits)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            len => (len.to_le_bytes()[0], 1),
        };
        lengths.extend(core::iter::repeat_n(len, times));
    }
    Some((Huffman::new(&lengths[..literals]), Huffman::new(&lengths[literals..])))
}

/// One block's symbols (§3.2.5).
fn codes(bits: &mut Bits<'_>, literals: &Huffman, distances: &Huffman, said: &mut Vec<u8>) -> Option<usize> {
    let mut longest = 0;
    loop {
        let len = match literals.symbol(bits)? {
            literal @ ..=255 => {
                said.push(literal.to_le_bytes()[0]);
                continue;
            }
            256 => return Some(longest),
            285 => 258,
            code => of_code(bits, code - 257, 4)? + 3,
        };
        let code = distances.symbol(bits)?;
        let distance = of_code(bits, code, 2)? + 1;
        longest = longest.max(distance);
        for _ in 0..len {
            said.push(*said.get(said.len().checked_sub(distance)?)?);
        }
    }
}

/// The tables of §3.2.5 as arithmetic: in each `group` of codes one more extra bit.
fn of_code(bits: &mut Bits<'_>, code: usize, group: usize) -> Option<usize> {
    if code < 2 * group {
        return Some(code);
    }
    let extra = code / group - 1;
    Some(((group + code % group) << extra) + bits.take(extra)?)
}
