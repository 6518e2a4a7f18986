//! Data of an answer that is written before its envelope, plain or compressed for who asks for `gzip`.
//!
//! The envelope names its request, so no two answers are alike; the data may be. So it is compressed alone and once, and
//! each answer puts its own head before it: a gzip file (RFC 1952) is one row of deflate blocks (RFC 1951), the head goes
//! as a block that is not compressed, and the check sums of both parts are combined.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// Shorter data is sooner sent than compressed, or kept.
pub(crate) const SHORT_BYTES: usize = 4 << 10;

/// Magic number, deflate, no flags, no time of change, nothing about speed, unknown system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The first byte of a block that is not compressed and not the last one.
const STORED: u8 = 0;

/// How long answers go over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Coding {
    Identity,
    Gzip,
}

impl Coding {
    /// What the client takes (RFC 9110, 12.5.3); `gzip` only where it says so itself.
    pub(crate) fn asked_by(headers: &HeaderMap) -> Self {
        let takes_gzip = |value: &str| {
            value.split(',').any(|offer| {
                let mut parts = offer.split(';').map(str::trim);
                let named =
                    parts.next().is_some_and(|name| ["gzip", "x-gzip"].iter().any(|it| it.eq_ignore_ascii_case(name)));
                named && !parts.any(is_zero_weight)
            })
        };
        let mut values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        if values.any(takes_gzip) { Self::Gzip } else { Self::Identity }
    }
}

/// `q=0`, `q=0.0` and the like: not this one.
fn is_zero_weight(parameter: &str) -> bool {
    let weight = parameter.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, number)| number.trim().parse::<f32>().is_ok_and(|number| number <= 0.0))
}

/// What stands behind the head of an answer.
#[derive(Debug, Clone)]
pub(crate) enum Written {
    Plain(Bytes),
    Deflated(Arc<Deflated>),
}

/// The last deflate blocks of a gzip file.
#[derive(Debug)]
pub(crate) struct Deflated {
    blocks: Bytes,
    /// Of what they hold.
    crc: Crc,
}

impl Written {
    /// `data` as it is sent.
    pub(crate) fn new(data: Bytes, coding: Coding) -> Self {
        if coding == Coding::Identity || data.len() < SHORT_BYTES {
            return Self::Plain(data);
        }
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(data.len() / 8), Compression::fast());
        // Writing into memory cannot fail; if it did, the data itself is as good.
        let Ok(blocks) = encoder.write_all(&data).and_then(|()| encoder.finish()) else { return Self::Plain(data) };
        let mut crc = Crc::new();
        crc.update(&data);
        Self::Deflated(Arc::new(Deflated { blocks: Bytes::from(blocks), crc }))
    }

    /// Bytes of it that are sent.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Plain(data) => data.len(),
            Self::Deflated(deflated) => deflated.blocks.len(),
        }
    }
}

impl Deflated {
    /// The gzip file of `head` and the data, piece by piece.
    pub(super) fn behind(&self, head: &[u8]) -> [Bytes; 3] {
        let mut start = Vec::with_capacity(GZIP_HEAD.len() + head.len() + 8);
        start.extend_from_slice(&GZIP_HEAD);
        for block in head.chunks(usize::from(u16::MAX)) {
            let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
            start.push(STORED);
            start.extend_from_slice(&length.to_le_bytes());
            start.extend_from_slice(&(!length).to_le_bytes());
            start.extend_from_slice(block);
        }
        let mut crc = Crc::new();
        crc.update(head);
        crc.combine(&self.crc);
        let end = [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat();
        [Bytes::from(start), self.blocks.clone(), Bytes::from(end)]
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn gzip_is_for_who_names_it() {
        for (accepted, expected) in [
            (&["gzip"][..], Coding::Gzip),
            (&["deflate, GZIP;q=0.5, br"], Coding::Gzip),
            (&["br", "x-gzip"], Coding::Gzip),
            (&["gzip; q=0"], Coding::Identity),
            (&["gzip;Q=0.000"], Coding::Identity),
            (&["identity"], Coding::Identity),
            (&["*"], Coding::Identity),
            (&[""], Coding::Identity),
            (&[], Coding::Identity),
        ] {
            let headers = accepted.iter().map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value))).collect();
            assert_eq!(Coding::asked_by(&headers), expected, "{accepted:?}");
        }
    }

    #[test]
    fn short_data_and_who_does_not_ask_get_it_as_it_is() {
        let (short, long) = (Bytes::from(vec![b'x'; SHORT_BYTES - 1]), Bytes::from(vec![b'x'; SHORT_BYTES]));
        for (data, coding) in [(&short, Coding::Gzip), (&long, Coding::Identity)] {
            assert!(matches!(Written::new(data.clone(), coding), Written::Plain(plain) if plain == data));
        }
        assert!(matches!(Written::new(long, Coding::Gzip), Written::Deflated(_)));
    }

    proptest! {
        #[test]
        fn heads_and_data_make_one_gzip_file(
            head in proptest::collection::vec(any::<u8>(), 0..300),
            lengths in prop_oneof![Just(0_usize), Just(65_535), Just(65_536), Just(200_000)],
            data in proptest::collection::vec(any::<u8>(), SHORT_BYTES..3 * SHORT_BYTES),
        ) {
            let head = [head, vec![b'h'; lengths]].concat();
            let Written::Deflated(deflated) = Written::new(Bytes::from(data.clone()), Coding::Gzip) else {
                return Err(TestCaseError::fail("it is long enough"));
            };
            let mut file = GzDecoder::new(std::io::Cursor::new(deflated.behind(&head).concat()));
            let mut read = Vec::new();
            file.read_to_end(&mut read).unwrap();
            prop_assert_eq!(read, [head, data].concat());
            let end = file.into_inner();
            prop_assert_eq!(usize::try_from(end.position()).unwrap(), end.get_ref().len(), "one member, nothing behind it");
        }
    }
}
