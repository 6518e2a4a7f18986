//! SQL texts with typed results that are prepared once per connection.
//!
//! Diesel keeps a prepared statement only for queries whose text follows from their type; updates, upserts
//! and `sql_query` are parsed anew each time, which costs more than running them. Here every statement is a
//! type of its own with a constant text, so all of them are kept. Each `?` stands for one value, in order.

use std::marker::PhantomData;

use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::methods::LoadQuery;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, RunQueryDsl, SqliteConnection};

/// A statement's constant text and the SQL types of its result columns.
pub(super) trait Sql: 'static {
    /// The text, with a `?` for each value and none elsewhere.
    const TEXT: &'static str;
    /// The text without its `?`, cut at each of them. Cut while compiling: diesel walks through a statement three
    /// times for each time it is run.
    const PARTS: &'static [&'static str];
    /// SQL types of a result row; `()` if it returns none.
    type Row;
}

/// One value for a `?`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bind<'a> {
    Null,
    Integer(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
}

impl From<i64> for Bind<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<Option<i64>> for Bind<'_> {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Integer)
    }
}

impl<'a> From<&'a [u8]> for Bind<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a> From<Option<&'a [u8]>> for Bind<'a> {
    fn from(value: Option<&'a [u8]>) -> Self {
        value.map_or(Self::Null, Self::Bytes)
    }
}

impl<'a> From<&'a str> for Bind<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}

impl<'a> From<Option<&'a str>> for Bind<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }
}

/// A text with its values.
pub(super) struct Statement<'a, T: Sql> {
    binds: &'a [Bind<'a>],
    text: PhantomData<T>,
}

impl<T: Sql> QueryId for Statement<'_, T> {
    type QueryId = T;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<T: Sql> Query for Statement<'_, T> {
    type SqlType = T::Row;
}

impl<T: Sql> RunQueryDsl<SqliteConnection> for Statement<'_, T> {}

impl<T: Sql> QueryFragment<Sqlite> for Statement<'_, T> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Some((first, others)) = T::PARTS.split_first() else { return Ok(()) };
        out.push_sql(first);
        let mut binds = self.binds.iter();
        for part in others {
            match binds.next() {
                Some(Bind::Integer(value)) => out.push_bind_param::<BigInt, _>(value)?,
                Some(Bind::Bytes(value)) => out.push_bind_param::<Binary, _>(*value)?,
                Some(Bind::Text(value)) => out.push_bind_param::<Text, _>(*value)?,
                Some(Bind::Null) | None => out.push_bind_param::<Nullable<BigInt>, _>(&None::<i64>)?,
            }
            out.push_sql(part);
        }
        debug_assert!(binds.next().is_none(), "more values than places: {}", T::TEXT);
        Ok(())
    }
}

fn statement<'a, T: Sql>(binds: &'a [Bind<'a>]) -> Statement<'a, T> {
    debug_assert_eq!(T::PARTS.len(), binds.len() + 1, "values for {}", T::TEXT);
    Statement { binds, text: PhantomData }
}

/// Runs a statement that returns no rows; how many rows it changed.
pub(super) fn execute<T: Sql>(connection: &mut SqliteConnection, binds: &[Bind<'_>]) -> QueryResult<usize> {
    diesel::connection::Connection::execute_returning_count(connection, &statement::<T>(binds))
}

/// Runs a query; all of its rows. The text has to bound them.
pub(super) fn rows<T, U>(connection: &mut SqliteConnection, binds: &[Bind<'_>]) -> QueryResult<Vec<U>>
where
    T: Sql,
    for<'a> Statement<'a, T>: LoadQuery<'a, SqliteConnection, U>,
{
    statement::<T>(binds).load(connection)
}

/// Runs a query; its first row, if it has one.
pub(super) fn first<T, U>(connection: &mut SqliteConnection, binds: &[Bind<'_>]) -> QueryResult<Option<U>>
where
    T: Sql,
    for<'a> Statement<'a, T>: LoadQuery<'a, SqliteConnection, U>,
{
    diesel::OptionalExtension::optional(statement::<T>(binds).get_result(connection))
}

/// How many parts [`cut`] makes of a text.
pub(super) const fn count_parts(text: &str) -> usize {
    let mut parts = 1;
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        if *first == b'?' {
            parts += 1;
        }
        rest = others;
    }
    parts
}

/// Cuts a text at its `?`.
pub(super) const fn cut<const PARTS: usize>(text: &str) -> [&str; PARTS] {
    let mut parts = [""; PARTS];
    let mut left: &mut [&str] = &mut parts;
    let mut rest = text;
    while let [part, others @ ..] = left {
        let (this, after) = rest.split_at(first_part_bytes(rest));
        *part = this;
        rest = if after.is_empty() { after } else { after.split_at(1).1 };
        left = others;
    }
    parts
}

const fn first_part_bytes(text: &str) -> usize {
    let mut rest = text.as_bytes();
    while let [byte, others @ ..] = rest
        && *byte != b'?'
    {
        rest = others;
    }
    text.len() - rest.len()
}

/// Declares statements: `Name = "text";` or `Name -> (types of a row) = "text";`.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident $(-> ($($row:ty),+ $(,)?))? = $text:expr;)+) => {$(
        $(#[$meta])*
        pub(in crate::stores::sqlite) struct $name;

        impl $crate::stores::sqlite::statement::Sql for $name {
            const TEXT: &'static str = $text;
            const PARTS: &'static [&'static str] = &$crate::stores::sqlite::statement::cut::<
                { $crate::stores::sqlite::statement::count_parts($text) },
            >($text);
            type Row = statements!(@row $($($row),+)?);
        }
    )+};
    (@row) => { () };
    (@row $($row:ty),+) => { ($($row,)+) };
}
pub(super) use statements;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_their_places() {
        for text in ["", "COMMIT", "?", "a = ? AND b = ?", "??c", "über = ? AND ü"] {
            let expected: Vec<&str> = text.split('?').collect();
            assert_eq!(count_parts(text), expected.len(), "{text}");
        }
        assert_eq!(cut::<1>("COMMIT"), ["COMMIT"]);
        assert_eq!(cut::<3>("a = ? AND b = ?"), ["a = ", " AND b = ", ""]);
        assert_eq!(cut::<2>("über = ? AND ü"), ["über = ", " AND ü"]);
    }
}
