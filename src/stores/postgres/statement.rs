//! Statements as the driver runs them: prepared once per connection, values of every type in one list.
//!
//! The driver is used directly: through diesel-async a batch insert or an update is prepared anew each time, and the
//! SQLSTATE of an error, by which the writer tells poison from a lock, is lost.
//!
//! A number goes to the type that its place has (`smallint`, `integer`, `bigint`) and comes from any of them. Lists are
//! for `unnest`, and their places name the type: `unnest(?::bigint[], ?::bytea[])`.

use std::any::TypeId;
use std::collections::HashMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use futures::TryStreamExt as _;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Row, Statement};

use super::errors::{OutOfRange, Sql, SqlError};
pub(super) use crate::stores::statement::{Sql as Text, statements};

/// The longest that the answer to one statement is waited for: more than the server gives it.
const STATEMENT_DEADLINE: Duration = Duration::from_secs(3);

/// A connection with the statements that were prepared on it: as many as the program has.
///
/// Statements that are begun together are sent together, in the order in which they are begun, and the server runs them
/// one after the other: as long as each is [ready](Connection::ready), so that none has to be prepared first.
pub(super) struct Connection {
    client: Client,
    prepared: Mutex<HashMap<TypeId, Statement>>,
    /// An answer never came: whatever comes next on it would be out of step with the server's work.
    late: AtomicBool,
    /// Messages sent so far, without those that prepare.
    asked: AtomicU64,
}

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self { client, prepared: Mutex::default(), late: AtomicBool::new(false), asked: AtomicU64::new(0) }
    }

    /// Messages sent so far.
    pub(super) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether nothing can be asked on it any more.
    pub(super) fn is_dead(&self) -> bool {
        self.late.load(Ordering::Relaxed) || self.client.is_closed()
    }

    /// Runs a text that takes no values, of any number of statements.
    pub(super) async fn run(&self, text: &str) -> Sql<()> {
        let answer = tokio::time::timeout(STATEMENT_DEADLINE, self.client.batch_execute(text)).await;
        self.in_time(answer)
    }

    fn in_time<T, E: Into<SqlError>>(&self, answer: Result<Result<T, E>, tokio::time::error::Elapsed>) -> Sql<T> {
        match answer {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => {
                self.late.store(true, Ordering::Relaxed);
                Err(SqlError::Late)
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TypeId, Statement>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prepares a statement that is about to be begun together with others.
    pub(super) async fn ready<T: Text>(&self) -> Sql<()> {
        let answer = tokio::time::timeout(STATEMENT_DEADLINE, self.prepare::<T>()).await;
        self.in_time(answer).map(drop)
    }

    async fn prepare<T: Text>(&self) -> Sql<Statement> {
        let known = TypeId::of::<T>();
        if let Some(statement) = self.known().get(&known).cloned() {
            return Ok(statement);
        }
        let mut text = String::with_capacity(T::TEXT.len() + T::PARTS.len() * 2);
        for (number, part) in T::PARTS.iter().enumerate() {
            if number > 0 {
                text.push_str(&format!("${number}"));
            }
            text.push_str(part);
        }
        let statement = self.client.prepare(&text).await?;
        self.known().insert(known, statement.clone());
        Ok(statement)
    }

    async fn query<T: Text>(&self, binds: &[Bind<'_>]) -> Sql<(Vec<Row>, u64)> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        debug_assert_eq!(T::PARTS.len(), binds.len() + 1, "values for {}", T::TEXT);
        let answer = tokio::time::timeout(STATEMENT_DEADLINE, async {
            let statement = self.prepare::<T>().await?;
            let stream =
                self.client.query_raw(&statement, binds.iter().map(|bind| bind as &(dyn ToSql + Sync))).await?;
            let mut stream = std::pin::pin!(stream);
            let mut rows = Vec::new();
            while let Some(row) = stream.try_next().await? {
                rows.push(row);
            }
            Ok::<_, SqlError>((rows, stream.rows_affected().unwrap_or_default()))
        });
        let answer = answer.await;
        self.in_time(answer)
    }
}

/// Runs a statement that returns no rows; how many rows it changed.
pub(super) async fn execute<T: Text>(connection: &Connection, binds: &[Bind<'_>]) -> Sql<u64> {
    connection.query::<T>(binds).await.map(|(_, changed)| changed)
}

/// Runs a query; all of its rows. The text has to bound them.
pub(super) async fn rows<T: Text, U: FromRow>(connection: &Connection, binds: &[Bind<'_>]) -> Sql<Vec<U>> {
    let (rows, _) = connection.query::<T>(binds).await?;
    rows.iter().map(U::from_row).collect()
}

/// Runs a query; its first row, if it has one.
pub(super) async fn first<T: Text, U: FromRow>(connection: &Connection, binds: &[Bind<'_>]) -> Sql<Option<U>> {
    let (rows, _) = connection.query::<T>(binds).await?;
    rows.first().map(U::from_row).transpose()
}

/// One value for a `?`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Bind<'a> {
    Null,
    Integer(i64),
    Bool(bool),
    Bytes(&'a [u8]),
    Text(&'a str),
    Integers(&'a [i64]),
    MaybeIntegers(&'a [Option<i64>]),
    Byteses(&'a [&'a [u8]]),
    MaybeByteses(&'a [Option<&'a [u8]>]),
    Texts(&'a [&'a str]),
    MaybeTexts(&'a [Option<&'a str>]),
}

impl ToSql for Bind<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(value) => integer(*value, ty, out),
            Self::Bool(value) => value.to_sql(ty, out),
            Self::Bytes(value) => value.to_sql(ty, out),
            Self::Text(value) => value.to_sql(ty, out),
            Self::Integers(values) => values.to_sql(ty, out),
            Self::MaybeIntegers(values) => values.to_sql(ty, out),
            Self::Byteses(values) => values.to_sql(ty, out),
            Self::MaybeByteses(values) => values.to_sql(ty, out),
            Self::Texts(values) => values.to_sql(ty, out),
            Self::MaybeTexts(values) => values.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn integer(value: i64, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
    match *ty {
        Type::INT2 => i16::try_from(value).map_err(|_| OutOfRange)?.to_sql(ty, out),
        Type::INT4 => i32::try_from(value).map_err(|_| OutOfRange)?.to_sql(ty, out),
        _ => value.to_sql(ty, out),
    }
}

macro_rules! binds {
    ($($from:ty => $variant:ident),+ $(,)?) => {$(
        impl<'a> From<$from> for Bind<'a> {
            fn from(value: $from) -> Self {
                Self::$variant(value)
            }
        }
    )+};
}

binds! {
    i64 => Integer,
    bool => Bool,
    &'a [u8] => Bytes,
    &'a str => Text,
    &'a [i64] => Integers,
    &'a [Option<i64>] => MaybeIntegers,
    &'a [&'a [u8]] => Byteses,
    &'a [Option<&'a [u8]>] => MaybeByteses,
    &'a [&'a str] => Texts,
    &'a [Option<&'a str>] => MaybeTexts,
}

impl<'a, T: Into<Bind<'a>>> From<Option<T>> for Bind<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A tuple of columns.
pub(super) trait FromRow: Sized {
    fn from_row(row: &Row) -> Sql<Self>;
}

/// One column.
pub(super) trait FromColumn: Sized {
    fn from_column(row: &Row, column: usize) -> Sql<Self>;
}

impl FromColumn for Option<i64> {
    fn from_column(row: &Row, column: usize) -> Sql<Self> {
        let ty = row.columns().get(column).map(tokio_postgres::Column::type_);
        Ok(match ty {
            Some(&Type::INT2) => row.try_get::<_, Option<i16>>(column)?.map(i64::from),
            Some(&Type::INT4) => row.try_get::<_, Option<i32>>(column)?.map(i64::from),
            _ => row.try_get(column)?,
        })
    }
}

impl FromColumn for i64 {
    fn from_column(row: &Row, column: usize) -> Sql<Self> {
        Option::<Self>::from_column(row, column)?.ok_or_else(|| SqlError::Unreadable("a number is missing".to_owned()))
    }
}

macro_rules! columns {
    ($($column:ty),+) => {$(
        impl FromColumn for $column {
            fn from_column(row: &Row, column: usize) -> Sql<Self> {
                Ok(row.try_get(column)?)
            }
        }
    )+};
}

columns!(bool, String, Option<String>, Vec<u8>, Option<Vec<u8>>);

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: FromColumn),*> FromRow for ($($name,)*) {
            fn from_row(row: &Row) -> Sql<Self> {
                let mut columns = 0..;
                let mut next = || columns.next().unwrap_or_default();
                Ok(($($name::from_column(row, next())?,)*))
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);
tuples!(A B C D E F G H I J K L M);
tuples!(A B C D E F G H I J K L M N);
tuples!(A B C D E F G H I J K L M N O);
tuples!(A B C D E F G H I J K L M N O P Q);
tuples!(A B C D E F G H I J K L M N O P Q R S T U V W);
tuples!(A B C D E F G H I J K L M N O P Q R S T U V W X Y Z);
