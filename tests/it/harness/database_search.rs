//! Looks for somebody in a data folder: in every value of every table, unpacked where it is packed, and in every byte of
//! every file, free space included.

use std::fs;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Binary, Nullable, Text};

use super::{on_postgres, postgres_search};

/// The dictionary that packed texts need.
const DICTIONARY: &[u8] = include_bytes!("../../../src/stores/user_data_dictionary_1.txt");
/// Stored texts are looked for in pieces: a copy may lie in two places, or half of it be overwritten.
const PIECE_BYTES: usize = 24;

fn open(folder: &Path) -> SqliteConnection {
    let mut connection = SqliteConnection::establish(folder.join("ges.db").to_str().unwrap()).unwrap();
    sql_query("PRAGMA busy_timeout = 5000").execute(&mut connection).unwrap();
    connection
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

fn names(connection: &mut SqliteConnection, query: &str) -> Vec<String> {
    let names: Vec<Name> = sql_query(query).load(connection).unwrap();
    names.into_iter().map(|row| row.name).collect()
}

/// Every table, our own bookkeeping of migrations left out.
pub(crate) fn tables(folder: &Path) -> Vec<String> {
    let query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
                 AND name NOT LIKE '%diesel%' ORDER BY name";
    names(&mut open(folder), query)
}

#[derive(QueryableByName)]
struct Value {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<Binary>)]
    value: Option<Vec<u8>>,
}

/// Everything that a value may say: as it is, and unpacked if it can be.
fn readings(value: &Value) -> Vec<Vec<u8>> {
    match &value.value {
        Some(bytes) if value.kind == "blob" => unpacked(bytes),
        Some(bytes) => vec![bytes.clone()],
        None => Vec::new(),
    }
}

/// Bytes as they are, and unpacked if they can be.
pub(crate) fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut readings = vec![bytes.to_vec()];
    if let Some((codec, body)) = bytes.split_first() {
        let unpacked = match codec {
            1 => zstd::bulk::Decompressor::new().unwrap().decompress(body, 1 << 26).ok(),
            2 => zstd::bulk::Decompressor::with_dictionary(DICTIONARY).unwrap().decompress(body, 1 << 26).ok(),
            _ => None,
        };
        readings.extend(unpacked);
    }
    readings
}

/// Table and column of every value that holds the digits or one of the texts.
pub(crate) fn in_values(folder: &Path, digits: u64, texts: &[&str]) -> Vec<String> {
    if let Some(address) = on_postgres::of(folder) {
        return postgres_search::in_values(&address, digits, texts, &[]);
    }
    let mut found = Vec::new();
    let digits = digits.to_string();
    let mut connection = open(folder);
    for table in tables(folder) {
        for column in names(&mut connection, &format!("SELECT name FROM pragma_table_info('{table}')")) {
            let query = format!(
                "SELECT typeof(\"{column}\") AS kind, CAST(\"{column}\" AS BLOB) AS value FROM \"{table}\" \
                 WHERE \"{column}\" IS NOT NULL"
            );
            let values: Vec<Value> = sql_query(query).load(&mut connection).unwrap();
            for reading in values.iter().flat_map(readings) {
                let needles = texts.iter().map(|text| text.as_bytes()).chain([digits.as_bytes()]);
                for needle in needles.filter(|needle| holds(&reading, needle)) {
                    found.push(format!("{table}.{column} holds {}", String::from_utf8_lossy(needle)));
                }
            }
        }
    }
    found
}

/// How the number and the packed texts of somebody are stored.
pub(crate) fn stored_forms(folder: &Path, digits: u64) -> Vec<Vec<u8>> {
    if let Some(address) = on_postgres::of(folder) {
        return postgres_search::stored_forms(&address, digits);
    }
    let query = format!(
        "SELECT 'blob' AS kind, d.options AS value FROM details d JOIN callbacks c ON c.details = d.id \
         WHERE c.phone = {digits} \
         UNION ALL SELECT 'blob', d.user_data FROM details d JOIN callbacks c ON c.details = d.id \
         WHERE c.phone = {digits} \
         UNION ALL SELECT 'blob', d.user_data FROM details d JOIN call_ins i ON i.details = d.id \
         WHERE i.caller = {digits} OR i.callback IN (SELECT id FROM callbacks WHERE phone = {digits})"
    );
    let values: Vec<Value> = sql_query(query).load(&mut open(folder)).unwrap();
    values.into_iter().filter_map(|value| value.value).collect()
}

/// Every file of the folder that holds the number, one of the texts, or a piece of a stored form.
pub(crate) fn in_files(folder: &Path, digits: u64, texts: &[&str], forms: &[Vec<u8>]) -> Vec<String> {
    let mut needles: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    needles.push(digits.to_string().into_bytes());
    needles.push(digits.to_be_bytes()[2..].to_vec());
    needles.extend(pieces(forms));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = fs::read(&path) else { continue };
        for needle in needles.iter().filter(|needle| holds(&bytes, needle)) {
            found.push(format!("{} holds {needle:02x?}", path.file_name().unwrap().to_string_lossy()));
        }
    }
    found
}

/// Stored texts in pieces.
pub(crate) fn pieces(forms: &[Vec<u8>]) -> Vec<Vec<u8>> {
    // The first bytes say how it is packed, and are everybody's.
    let own = forms.iter().filter_map(|form| form.get(16..));
    own.flat_map(|own| own.chunks(PIECE_BYTES)).filter(|it| it.len() == PIECE_BYTES).map(<[u8]>::to_vec).collect()
}

pub(crate) fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return false };
    let mut left = bytes;
    while let Some(at) = left.iter().position(|byte| byte == first) {
        left = &left[at + 1..];
        if left.starts_with(rest) {
            return true;
        }
    }
    false
}
