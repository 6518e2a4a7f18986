//! Idempotency keys and captcha tokens of the bookings of one batch.
//!
//! They are inserted before anything else is locked: whoever comes second, on whatever node, waits here for the first,
//! and then reads what it made. What was inserted for a booking that is not kept goes again before the commit.

use std::collections::{BTreeMap, BTreeSet};

use super::errors::{Sql, SqlError};
use super::statement::{Bind, Connection, execute, first, rows, statements};
use crate::stores::command::Book;
use crate::stores::idempotency::{KEY_LIFE, Keyed, Known, Operation, judge_key};
use crate::stores::names::QueueKey;
use crate::stores::rows::millis;
use crate::testing::{self, Rule};

statements! {
    // A key whose time is over gives way; one that is still good is locked and left alone.
    // A key that is used again after its life is young again: the purge looks for old ones from the lowest row number on.
    AddKeys = "INSERT INTO idempotency_keys AS k (tenant, operation, key, body, callback, at)
        SELECT t, ?::smallint, y, b, c, a FROM unnest(?::bigint[], ?::bytea[], ?::bytea[], ?::bytea[], ?::bigint[])
        AS u(t, y, b, c, a) ORDER BY t, y
        ON CONFLICT (tenant, operation, key) DO UPDATE SET id = DEFAULT, body = excluded.body,
        callback = excluded.callback, at = excluded.at WHERE k.at <= excluded.at - ?::bigint RETURNING tenant, key";
    FindKeys = "SELECT k.tenant, k.key, k.body, k.callback FROM unnest(?::bigint[], ?::bytea[]) AS u(t, y)
        JOIN idempotency_keys k ON k.tenant = u.t AND k.operation = ?::smallint AND k.key = u.y";
    LookAtKey = "SELECT body, callback FROM idempotency_keys WHERE tenant = ? AND operation = ? AND key = ? AND at > ?";
    ChangeKeys = "UPDATE idempotency_keys k SET body = u.b, callback = u.c
        FROM unnest(?::bigint[], ?::bytea[], ?::bytea[], ?::bytea[]) AS u(t, y, b, c)
        WHERE k.tenant = u.t AND k.operation = ?::smallint AND k.key = u.y";
    DropKeys = "DELETE FROM idempotency_keys k USING unnest(?::bigint[], ?::bytea[]) AS u(t, y)
        WHERE k.tenant = u.t AND k.operation = ?::smallint AND k.key = u.y";
    AddTokens = "INSERT INTO captcha_tokens (tenant, token, at)
        SELECT t, y, a FROM unnest(?::bigint[], ?::bytea[], ?::bigint[]) AS u(t, y, a) ORDER BY t, y
        ON CONFLICT (tenant, token) DO NOTHING RETURNING tenant, token";
    LookAtToken = "SELECT 1 FROM captcha_tokens WHERE tenant = ? AND token = ?";
    DropTokens = "DELETE FROM captcha_tokens k USING unnest(?::bigint[], ?::bytea[]) AS u(t, y)
        WHERE k.tenant = u.t AND k.token = u.y";
}

const CREATE: i64 = Operation::Create as i64;

/// Tenant, key, body, and what was made.
type KeyRow = (i64, Vec<u8>, Vec<u8>, Vec<u8>);

/// Tenant and hash.
type Name = (i64, [u8; 16]);

/// A key as it is known so far.
#[derive(Debug)]
enum Key {
    /// It is this batch's: what was inserted under it, and what was kept in the end.
    Ours { inserted: Made, kept: Option<Made> },
    /// Somebody made something under it before.
    Known(Made),
}

/// Body, and what was made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    body: Vec<u8>,
    made: Vec<u8>,
    at: i64,
}

/// A token as it is known so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// No booking was kept with it yet.
    Free { at: i64 },
    /// It came with a booking of this batch.
    Spent,
    /// It came with an earlier booking.
    Used,
}

/// The keys and tokens of one batch.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: BTreeMap<Name, Key>,
    tokens: BTreeMap<Name, Token>,
}

fn name(tenant: i64, hash: Vec<u8>) -> Sql<Name> {
    let hash = hash.try_into().map_err(|_| SqlError::Unreadable("a key has not 16 bytes".to_owned()))?;
    Ok((tenant, hash))
}

fn columns<'a>(names: impl Iterator<Item = &'a Name>) -> (Vec<i64>, Vec<&'a [u8]>) {
    names.map(|(tenant, hash)| (*tenant, hash.as_slice())).unzip()
}

impl Keys {
    /// Notes what a booking brings. Of equal keys the first is inserted.
    pub(super) fn want(&mut self, book: &Book, key: QueueKey) {
        let at = millis(book.booked_at);
        if let Some(idempotency) = book.idempotency.as_ref().filter(|_| !testing::is_broken(Rule::Key)) {
            let inserted =
                Made { body: idempotency.body.to_vec(), made: book.callback.id.as_uuid().as_bytes().to_vec(), at };
            self.keys.entry((key.tenant, idempotency.key)).or_insert(Key::Ours { inserted, kept: None });
        }
        if let Some(token) = &book.captcha {
            self.tokens.entry((key.tenant, *token)).or_insert(Token::Free { at });
        }
    }

    /// Whether no booking brings one.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.tokens.is_empty()
    }

    /// Inserts them.
    pub(super) async fn take(&mut self, connection: &mut Connection) -> Sql<()> {
        if !self.keys.is_empty() {
            self.take_keys(connection).await?;
        }
        if self.tokens.is_empty() {
            return Ok(());
        }
        let (tenants, tokens) = columns(self.tokens.keys());
        let at = |token: &Token| if let Token::Free { at } = token { *at } else { 0 };
        let ats: Vec<i64> = self.tokens.values().map(at).collect();
        let binds = [tenants.as_slice().into(), tokens.as_slice().into(), ats.as_slice().into()];
        let ours: Vec<(i64, Vec<u8>)> = rows::<AddTokens, _>(connection, &binds).await?;
        let ours: Sql<BTreeSet<Name>> = ours.into_iter().map(|(tenant, token)| name(tenant, token)).collect();
        let ours = ours?;
        for (name, token) in &mut self.tokens {
            if !ours.contains(name) {
                *token = Token::Used;
            }
        }
        Ok(())
    }

    async fn take_keys(&mut self, connection: &mut Connection) -> Sql<()> {
        let (tenants, hashes) = columns(self.keys.keys());
        let inserted: Vec<&Made> = self
            .keys
            .values()
            .map(|key| match key {
                Key::Ours { inserted, .. } | Key::Known(inserted) => inserted,
            })
            .collect();
        let bodies: Vec<&[u8]> = inserted.iter().map(|made| made.body.as_slice()).collect();
        let made: Vec<&[u8]> = inserted.iter().map(|made| made.made.as_slice()).collect();
        let ats: Vec<i64> = inserted.iter().map(|made| made.at).collect();
        let binds = [
            CREATE.into(),
            tenants.as_slice().into(),
            hashes.as_slice().into(),
            bodies.as_slice().into(),
            made.as_slice().into(),
            ats.as_slice().into(),
            KEY_LIFE.num_milliseconds().into(),
        ];
        let ours: Vec<(i64, Vec<u8>)> = rows::<AddKeys, _>(connection, &binds).await?;
        if ours.len() == self.keys.len() {
            return Ok(());
        }
        let ours: Sql<BTreeSet<Name>> = ours.into_iter().map(|(tenant, key)| name(tenant, key)).collect();
        let ours = ours?;
        let (tenants, hashes) = columns(self.keys.keys().filter(|name| !ours.contains(*name)));
        let binds = [tenants.as_slice().into(), hashes.as_slice().into(), CREATE.into()];
        let found: Vec<KeyRow> = rows::<FindKeys, _>(connection, &binds).await?;
        for (tenant, key, body, made) in found {
            self.keys.insert(name(tenant, key)?, Key::Known(Made { body, made, at: 0 }));
        }
        Ok(())
    }

    /// Reads what one booking brings, for whoever only wants to know.
    pub(super) async fn look(&mut self, connection: &mut Connection, book: &Book, key: QueueKey) -> Sql<()> {
        if let Some(idempotency) = &book.idempotency {
            let since: Bind<'_> = millis(book.booked_at - KEY_LIFE).into();
            let binds = [key.tenant.into(), CREATE.into(), idempotency.key.as_slice().into(), since];
            if let Some((body, made)) = first::<LookAtKey, (Vec<u8>, Vec<u8>)>(connection, &binds).await? {
                self.keys.insert((key.tenant, idempotency.key), Key::Known(Made { body, made, at: 0 }));
            }
        }
        if let Some(token) = &book.captcha {
            let binds = [key.tenant.into(), token.as_slice().into()];
            if first::<LookAtToken, (i64,)>(connection, &binds).await?.is_some() {
                self.tokens.insert((key.tenant, *token), Token::Used);
            }
        }
        Ok(())
    }

    /// What is known of the key of a command.
    pub(super) fn known(&self, keyed: &Keyed<'_>) -> Sql<Known> {
        let Some(idempotency) = keyed.idempotency else { return Ok(Known::Not) };
        let made = match self.keys.get(&(keyed.tenant, idempotency.key)) {
            Some(Key::Known(made) | Key::Ours { kept: Some(made), .. }) => made,
            Some(Key::Ours { kept: None, .. }) | None => return Ok(Known::Not),
        };
        judge_key(idempotency, &made.made, &made.body).map_err(|_| SqlError::Unreadable("an id is no UUID".to_owned()))
    }

    pub(super) fn is_token_used(&self, tenant: i64, token: &[u8; 16]) -> bool {
        matches!(self.tokens.get(&(tenant, *token)), Some(Token::Spent | Token::Used))
    }

    /// Remembers what became of a booking that was kept, or answered by another one.
    pub(super) fn remember(&mut self, book: &Book, key: QueueKey, made: &[u8]) {
        if let Some(idempotency) = &book.idempotency
            && let Some(Key::Ours { kept, .. }) = self.keys.get_mut(&(key.tenant, idempotency.key))
        {
            let (body, made) = (idempotency.body.to_vec(), made.to_vec());
            *kept = Some(Made { body, made, at: millis(book.booked_at) });
        }
        if let Some(token) = &book.captcha {
            self.tokens.insert((key.tenant, *token), Token::Spent);
        }
    }

    /// Makes what is stored what was kept.
    pub(super) async fn settle(&self, connection: &mut Connection) -> Sql<()> {
        let mut dropped = Vec::new();
        let (mut names, mut bodies, mut mades) = (Vec::new(), Vec::new(), Vec::new());
        for (name, key) in &self.keys {
            let Key::Ours { inserted, kept } = key else { continue };
            match kept {
                None => dropped.push(name),
                Some(kept) if kept.body == inserted.body && kept.made == inserted.made => {}
                Some(kept) => {
                    names.push(name);
                    bodies.push(kept.body.as_slice());
                    mades.push(kept.made.as_slice());
                }
            }
        }
        if !dropped.is_empty() {
            let (tenants, hashes) = columns(dropped.into_iter());
            let binds = [tenants.as_slice().into(), hashes.as_slice().into(), CREATE.into()];
            execute::<DropKeys>(connection, &binds).await?;
        }
        if !names.is_empty() {
            let (tenants, hashes) = columns(names.into_iter());
            let (bodies, mades) = (bodies.as_slice().into(), mades.as_slice().into());
            let binds = [tenants.as_slice().into(), hashes.as_slice().into(), bodies, mades, CREATE.into()];
            execute::<ChangeKeys>(connection, &binds).await?;
        }
        let free: Vec<&Name> =
            self.tokens.iter().filter(|(_, token)| matches!(token, Token::Free { .. })).map(|(name, _)| name).collect();
        if !free.is_empty() {
            let (tenants, hashes) = columns(free.into_iter());
            execute::<DropTokens>(connection, &[tenants.as_slice().into(), hashes.as_slice().into()]).await?;
        }
        Ok(())
    }
}
