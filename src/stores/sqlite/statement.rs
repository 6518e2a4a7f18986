//! Statements as diesel runs them on SQLite.
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

pub(super) use crate::stores::statement::{Sql, statements};

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
