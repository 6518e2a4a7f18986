//! Looks for somebody in a PostgreSQL database: in every value of every table, unpacked where it is packed, in what the
//! planner has noted of values, and in every byte of the server's files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ges::stores::postgres::Address;

use super::database_search::{holds, pieces, unpacked};
use super::postgres::query;

/// Tables of ours with their columns: table, column, type.
fn columns(address: &Address) -> Vec<(String, String, String)> {
    let text = "SELECT table_name || ' ' || column_name || ' ' || udt_name FROM information_schema.columns \
                WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";
    let columns = query(address, text).into_iter().map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        let mut word = || words.next().unwrap();
        (word(), word(), word())
    });
    columns.collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// Table and column of every value that holds the digits, one of the texts, or a piece of a stored form.
pub(crate) fn in_values(address: &Address, digits: u64, texts: &[&str], forms: &[Vec<u8>]) -> Vec<String> {
    let mut needles: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    needles.push(digits.to_string().into_bytes());
    let pieces = pieces(forms);
    // One text for all columns, and so one connection: each row says whose it is.
    let select = |(table, column, kind): (String, String, String)| {
        let value =
            if kind == "bytea" { format!("encode(\"{column}\", 'hex')") } else { format!("\"{column}\"::text") };
        format!("SELECT '{table}.{column} {kind} ' || {value} FROM \"{table}\" WHERE \"{column}\" IS NOT NULL")
    };
    let selects: Vec<String> = columns(address).into_iter().map(select).collect();
    let mut found = in_statistics(address, digits, forms);
    for line in query(address, &selects.join("; ")) {
        let mut parts = line.splitn(3, ' ');
        let (place, kind, value) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let readings = if kind == "bytea" { unpacked(&bytes(value)) } else { vec![value.as_bytes().to_vec()] };
        let wanted = needles.iter().chain(pieces.iter().filter(|_| kind == "bytea"));
        for needle in wanted.filter(|needle| readings.iter().any(|reading| holds(reading, needle))) {
            found.push(format!("{place} holds {}", String::from_utf8_lossy(needle)));
        }
    }
    found
}

/// Columns of which the planner has noted the digits or a stored form.
pub(crate) fn in_statistics(address: &Address, digits: u64, forms: &[Vec<u8>]) -> Vec<String> {
    let text = "SELECT tablename || '.' || attname || ' ' || coalesce(most_common_vals::text, '') || ' ' \
                || coalesce(histogram_bounds::text, '') FROM pg_stats WHERE schemaname = 'public'";
    let hex = |form: &Vec<u8>| form.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let needles: Vec<String> = forms.iter().map(hex).chain([digits.to_string()]).collect();
    let noted = query(address, text).into_iter();
    noted.filter(|line| needles.iter().any(|needle| line.contains(needle))).collect()
}

/// How the packed texts of somebody are stored.
pub(crate) fn stored_forms(address: &Address, digits: u64) -> Vec<Vec<u8>> {
    let of_callbacks = format!("details d JOIN callbacks c ON c.details = d.id WHERE c.phone = {digits}");
    let of_call_ins = format!(
        "details d JOIN call_ins i ON i.details = d.id \
         WHERE i.caller = {digits} OR i.callback IN (SELECT id FROM callbacks WHERE phone = {digits})"
    );
    let text = format!(
        "SELECT encode(d.options, 'hex') FROM {of_callbacks} AND d.options IS NOT NULL \
         UNION ALL SELECT encode(d.user_data, 'hex') FROM {of_callbacks} AND d.user_data IS NOT NULL \
         UNION ALL SELECT encode(d.user_data, 'hex') FROM {of_call_ins}"
    );
    query(address, &text).iter().map(|hex| bytes(hex)).collect()
}

/// What somebody would be recognised by in a file: each has eight bytes at least.
pub(crate) fn needles(digits: u64, texts: &[&str], forms: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut needles: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    needles.push(digits.to_string().into_bytes());
    // A number as a column holds it: as the machine does.
    needles.push(digits.to_ne_bytes().to_vec());
    needles.extend(pieces(forms));
    needles
}

/// Every file below a folder that holds one of the needles.
pub(crate) fn in_files(folder: &Path, needles: &[Vec<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(in_files(&path, needles));
        } else if let Ok(bytes) = fs::read(&path) {
            let held = held(&bytes, needles);
            found.extend(held.into_iter().map(|needle| format!("{} holds {needle:02x?}", path.display())));
        }
    }
    found
}

/// Which of the needles are in the bytes. There are many of both: only those are compared that begin with the two bytes that
/// stand there.
fn held<'a>(bytes: &[u8], needles: &'a [Vec<u8>]) -> BTreeSet<&'a Vec<u8>> {
    let start = |bytes: &[u8]| usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
    let mut starts = vec![Vec::new(); 1 << 16];
    needles.iter().for_each(|needle| starts[start(needle)].push(needle));
    let mut held = BTreeSet::new();
    for (at, two) in bytes.windows(2).enumerate() {
        held.extend(starts[start(two)].iter().filter(|needle| bytes[at..].starts_with(needle)));
    }
    held
}
