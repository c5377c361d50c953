//! JPEG data counted before a decoder sees them: one that runs out of data before its end marker makes up the rest.
//!
//! <https://www.itu.int/rec/T-REC-T.81>, annexes A, C, F and H.

/// Whether a stream of a sequential or lossless process holds data for every sample of its frame, and then ends.
pub(super) fn is_whole(stream: &[u8]) -> bool {
    walk(stream).is_some()
}

struct Frame {
    /// A difference for each sample; else blocks of 8 x 8, a difference and 63 coefficients.
    lossless: bool,
    width: usize,
    height: usize,
    components: Vec<Component>,
}

struct Component {
    id: u8,
    /// Sampling factors: how many units lie beside and below one another in what scans interleave.
    across: usize,
    down: usize,
    seen: bool,
}

fn walk(stream: &[u8]) -> Option<()> {
    let mut tables: [Option<Table>; 8] = Default::default();
    let (mut frame, mut interval) = (None::<Frame>, 0);
    let mut rest = stream.strip_prefix(&[0xFF, 0xD8])?;
    loop {
        let [0xFF, marker, tail @ ..] = rest else { return None };
        match marker {
            0xFF => {
                rest = &rest[1..];
                continue;
            }
            0xD9 => return frame?.components.iter().all(|component| component.seen).then_some(()),
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes([*tail.first()?, *tail.get(1)?]));
        let segment = tail.get(2..length)?;
        rest = &tail[length..];
        match (marker, segment) {
            (0xC4, _) => define(segment, &mut tables)?,
            (0xDD, [high, low]) => interval = usize::from(u16::from_be_bytes([*high, *low])),
            (0xC0 | 0xC1 | 0xC3, _) => frame = Some(Frame::read(*marker == 0xC3, segment)?),
            (0xDA, _) => rest = frame.as_mut()?.scan(segment, rest, interval, &tables)?,
            (0xC0..=0xCF, _) => return None,
            _ => {}
        }
    }
}

impl Frame {
    fn read(lossless: bool, segment: &[u8]) -> Option<Frame> {
        let [_, h1, h0, w1, w0, count, components @ ..] = segment else { return None };
        let [width, height] = [[*w1, *w0], [*h1, *h0]].map(|side| usize::from(u16::from_be_bytes(side)));
        let component = |c: &[u8]| {
            let (across, down) = (usize::from(c[1] >> 4), usize::from(c[1] & 15));
            (across > 0 && down > 0).then_some(Component { id: c[0], across, down, seen: false })
        };
        let components: Vec<Component> = components.chunks_exact(3).map(component).collect::<Option<_>>()?;
        (components.len() == usize::from(*count)).then_some(Frame { lossless, width, height, components })
    }

    /// One scan with that header; what follows its data.
    fn scan<'a>(
        &mut self,
        header: &[u8],
        data: &'a [u8],
        interval: usize,
        tables: &[Option<Table>; 8],
    ) -> Option<&'a [u8]> {
        let (count, header) = header.split_first()?;
        let selected: Vec<(u8, u8)> =
            header.chunks_exact(2).take(usize::from(*count)).map(|pair| (pair[0], pair[1])).collect();
        let most = |of: fn(&Component) -> usize| self.components.iter().map(of).max();
        let (most_across, most_down) = (most(|c| c.across)?, most(|c| c.down)?);
        let unit = if self.lossless { 1 } else { 8 };
        let (mut groups, mut group) = (0, Vec::new());
        for (id, table) in &selected {
            let component = self.components.iter_mut().find(|component| component.id == *id)?;
            component.seen = true;
            let first = tables[usize::from(table >> 4 & 3)].as_ref()?;
            let further = if self.lossless { None } else { Some(tables[usize::from(4 | table & 3)].as_ref()?) };
            let size = |side: usize, own: usize, most: usize| (side * own).div_ceil(most).div_ceil(unit);
            let of_its_own = selected.len() == 1;
            let units = if of_its_own { 1 } else { component.across * component.down };
            group.extend(std::iter::repeat_n((first, further), units));
            groups = if of_its_own {
                size(self.width, component.across, most_across) * size(self.height, component.down, most_down)
            } else {
                self.width.div_ceil(unit * most_across) * self.height.div_ceil(unit * most_down)
            };
        }
        let mut bits = Bits { data, held: 0, count: 0 };
        for index in 0..groups {
            if interval > 0 && index > 0 && index % interval == 0 {
                bits.restart((index / interval - 1) as u8 & 7)?;
            }
            for (first, further) in &group {
                bits.unit(first, *further)?;
            }
        }
        bits.marker().map(|_| bits.data)
    }
}

/// The tables of a DHT segment: class and number, how many codes of each length, their symbols.
fn define(mut segment: &[u8], tables: &mut [Option<Table>; 8]) -> Option<()> {
    while let Some((id, rest)) = segment.split_first() {
        let (counts, rest) = rest.split_at_checked(16)?;
        let (symbols, rest) = rest.split_at_checked(counts.iter().map(|count| usize::from(*count)).sum())?;
        let slot = tables.get_mut(usize::from((id >> 4 << 2) | (id & 3)))?;
        *slot = Some(Table::new(counts, symbols)?);
        segment = rest;
    }
    Some(())
}

/// For every 16 bits that may come next the symbol they begin with and the length of its code; length 0: none.
struct Table(Vec<(u8, u8)>);

impl Table {
    fn new(counts: &[u8], symbols: &[u8]) -> Option<Table> {
        let mut table = vec![(0, 0); 1 << 16];
        let (mut at, mut symbols) = (0, symbols.iter());
        for (length, count) in (1u8..).zip(counts) {
            for symbol in symbols.by_ref().take(usize::from(*count)) {
                let next = at + (1 << (16 - length));
                table.get_mut(at..next)?.fill((*symbol, length));
                at = next;
            }
        }
        Some(Table(table))
    }
}

/// The bits of entropy-coded data, up to the first marker.
struct Bits<'a> {
    data: &'a [u8],
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 48 {
            let (byte, length) = match self.data {
                [0xFF, 0, ..] => (0xFF, 2),
                [0xFF, ..] | [] => return,
                [byte, ..] => (*byte, 1),
            };
            self.data = &self.data[length..];
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    fn symbol(&mut self, table: &Table) -> Option<u8> {
        self.fill();
        // Behind the last bits as many zeros as it takes: a code that needs them is longer than what is there.
        let next = if self.count >= 16 { self.held >> (self.count - 16) } else { self.held << (16 - self.count) };
        let (symbol, length) = table.0[(next & 0xFFFF) as usize];
        (length > 0).then_some(())?;
        self.skip(u32::from(length))?;
        Some(symbol)
    }

    fn skip(&mut self, bits: u32) -> Option<()> {
        self.fill();
        self.count = self.count.checked_sub(bits)?;
        self.held &= (1 << self.count) - 1;
        Some(())
    }

    /// One sample, or one block.
    fn unit(&mut self, first: &Table, further: Option<&Table>) -> Option<()> {
        let category = self.symbol(first)?;
        // A difference of 32768 has no bits behind it.
        self.skip(if category >= 16 { 0 } else { u32::from(category) })?;
        let Some(table) = further else { return Some(()) };
        let mut coefficient = 1;
        while coefficient < 64 {
            let symbol = self.symbol(table)?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => coefficient += 16,
                (_, 0) => return Some(()),
                (zeros, size) => {
                    self.skip(u32::from(size))?;
                    coefficient += usize::from(zeros) + 1;
                }
            }
        }
        (coefficient == 64).then_some(())
    }

    /// The marker that follows; bits in front of it that nobody needs are passed over.
    fn marker(&mut self) -> Option<u8> {
        while !matches!(self.data, [0xFF, 1..=0xFF, ..]) {
            self.data = self.data.get(1..)?;
        }
        // A fill byte may stand before a marker.
        while let [0xFF, 0xFF, ..] = self.data {
            self.data = &self.data[1..];
        }
        self.data.get(1).copied()
    }

    fn restart(&mut self, number: u8) -> Option<()> {
        (self.marker()? == 0xD0 + number).then_some(())?;
        *self = Bits { data: &self.data[2..], held: 0, count: 0 };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two codes of one and two bits: category 0 and category 3, and the data that follow.
    fn lossless(data: &[u8], interval: &[u8]) -> Vec<u8> {
        let table = [&[0xFF, 0xC4, 0, 21, 0, 1, 1][..], &[0; 14], &[0, 3]].concat();
        let frame = [0xFF, 0xC3, 0, 11, 12, 0, 2, 0, 3, 1, 1, 0x11, 0];
        let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0];
        [&[0xFF, 0xD8], &table[..], interval, &frame, &scan, data].concat()
    }

    #[test]
    fn samples_are_counted() {
        // 0, 10 111, 0, 0, 10 000, 0 and two bits of padding; six samples.
        let good = [0b0101_1100, 0b1000_0011];
        assert!(is_whole(&lossless(&[&good[..], &[0xFF, 0xD9]].concat(), &[])));
        assert!(is_whole(&lossless(&[&good[..], &[0, 0xFF, 0, 0xFF, 0xFF, 0xD9]].concat(), &[])), "more than needed");
        for bad in [
            &[0b0101_1100, 0xFF, 0xD9][..],
            &[0b0101_1100, 0b1000_0011],
            &[0b0101_1100, 0b1000_0011, 0, 0xFF, 0],
            &[0b0101_1100, 0b1000_0011, 0xFF, 0xD0],
            &[0b1100_0000, 0, 0xFF, 0xD9],
            &[0b0000_0101, 0xFF, 0xD9],
        ] {
            assert!(!is_whole(&lossless(bad, &[])), "{bad:?}");
        }
        // Three samples a restart: 0, 10 111, 0 and a marker.
        let interval = [0xFF, 0xDD, 0, 4, 0, 3];
        assert!(is_whole(&lossless(&[0b0101_1101, 0xFF, 0xD0, 0b0001_1111, 0xFF, 0xD9], &interval)));
        assert!(!is_whole(&lossless(&[0b0101_1101, 0xFF, 0xD1, 0b0001_1111, 0xFF, 0xD9], &interval)));
        assert!(!is_whole(&lossless(&[&good[..], &[0xFF, 0xD9]].concat(), &interval)));
    }

    #[test]
    fn a_table_with_more_codes_than_there_are_is_none() {
        assert!(Table::new(&[[3].as_slice(), &[0; 15]].concat(), &[1, 2, 3]).is_none());
        assert!(Table::new(&[[2].as_slice(), &[0; 15]].concat(), &[1, 2]).is_some());
    }
}
