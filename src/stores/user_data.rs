//! Packing of user data and rare members: small JSON texts that are written once and read once.
//!
//! The first byte of a packed value names its codec, so that values stay readable when the choice changes.
//! A dictionary of typical words doubles the ratio of records around 1 kB; it is part of the program, and
//! its number is part of the codec: a dictionary that was ever released stays for ever, a better one gets
//! the next number.

use std::cell::RefCell;
use std::io;

use thiserror::Error;
use zstd::bulk::{Compressor, Decompressor};

/// Dictionary 1, as text: what contact centres write beside a callback, the most usual last.
const DICTIONARY_1: &[u8] = include_bytes!("user_data_dictionary_1.txt");

/// Above level 3 the time grows tenfold and the text shrinks by a few per cent.
const LEVEL: i32 = 3;

/// Longest text that is unpacked, in bytes. The door takes far less; this guards memory against a damaged row.
const MAX_TEXT_BYTES: usize = 64 * 1024 * 1024;

/// From this length on a text brings its own words and the dictionary is not worth its time.
const DICTIONARY_BELOW_BYTES: usize = 64 * 1024;

const RAW: u8 = 0;
const ZSTD: u8 = 1;
const ZSTD_DICTIONARY_1: u8 = 2;

/// Why a packed value cannot be read.
#[derive(Debug, Error)]
pub(super) enum UnpackError {
    /// Nothing there, not even a codec.
    #[error("empty value")]
    Empty,
    /// Made by a newer program.
    #[error("codec {0} is not known")]
    UnknownCodec(u8),
    /// Does not decompress.
    #[error("cannot decompress")]
    Damaged(#[source] io::Error),
    /// Decompresses to something else than text.
    #[error("not text")]
    NotText,
}

/// One thread's contexts: making one costs several times what a small text costs to pack.
#[derive(Default)]
struct Contexts {
    plain: Option<Compressor<'static>>,
    dictionary: Option<Compressor<'static>>,
    unpack_plain: Option<Decompressor<'static>>,
    unpack_dictionary: Option<Decompressor<'static>>,
}

thread_local! {
    static CONTEXTS: RefCell<Contexts> = RefCell::default();
}

/// Packs a text. It always succeeds: what cannot be compressed, or does not shrink, is kept as it is.
pub(super) fn pack(text: &str) -> Vec<u8> {
    let codec = if text.len() < DICTIONARY_BELOW_BYTES { ZSTD_DICTIONARY_1 } else { ZSTD };
    let packed = CONTEXTS.with_borrow_mut(|contexts| contexts.compress(codec, text.as_bytes()));
    match packed {
        Ok(packed) if packed.len() <= text.len() => packed,
        _ => {
            let mut raw = Vec::with_capacity(text.len() + 1);
            raw.push(RAW);
            raw.extend_from_slice(text.as_bytes());
            raw
        }
    }
}

/// The text of a packed value.
pub(super) fn unpack(packed: &[u8]) -> Result<String, UnpackError> {
    let (codec, body) = packed.split_first().ok_or(UnpackError::Empty)?;
    let bytes = match *codec {
        RAW => body.to_vec(),
        ZSTD | ZSTD_DICTIONARY_1 => {
            CONTEXTS.with_borrow_mut(|contexts| contexts.decompress(*codec, body)).map_err(UnpackError::Damaged)?
        }
        other => return Err(UnpackError::UnknownCodec(other)),
    };
    String::from_utf8(bytes).map_err(|_| UnpackError::NotText)
}

impl Contexts {
    fn compress(&mut self, codec: u8, text: &[u8]) -> io::Result<Vec<u8>> {
        let compressor = if codec == ZSTD { &mut self.plain } else { &mut self.dictionary };
        let compressor = match compressor {
            Some(compressor) => compressor,
            none if codec == ZSTD => none.insert(Compressor::new(LEVEL)?),
            none => none.insert(Compressor::with_dictionary(LEVEL, DICTIONARY_1)?),
        };
        let body = compressor.compress(text)?;
        let mut packed = Vec::with_capacity(body.len() + 1);
        packed.push(codec);
        packed.extend_from_slice(&body);
        Ok(packed)
    }

    fn decompress(&mut self, codec: u8, body: &[u8]) -> io::Result<Vec<u8>> {
        let decompressor = if codec == ZSTD { &mut self.unpack_plain } else { &mut self.unpack_dictionary };
        let decompressor = match decompressor {
            Some(decompressor) => decompressor,
            none if codec == ZSTD => none.insert(Decompressor::new()?),
            none => none.insert(Decompressor::with_dictionary(DICTIONARY_1)?),
        };
        decompressor.decompress(body, MAX_TEXT_BYTES)
    }
}

#[cfg(test)]
mod tests;
