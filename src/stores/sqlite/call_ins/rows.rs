//! Rows of `call_ins`, read.

use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::super::statement::statements;

statements! {
    LoadCallIn -> (
        Binary, BigInt, Text, BigInt, Nullable<BigInt>, Nullable<BigInt>, BigInt, BigInt, Nullable<BigInt>, BigInt,
        Nullable<Binary>,
    ) = "SELECT c.id, c.state, g.name, n.phone, c.code, c.caller, c.created_at, c.expires_at, c.ended_at, c.criteria,
        c.callback FROM call_ins c JOIN call_in_groups g ON g.key = c.grp JOIN call_in_numbers n ON n.key = c.number
        WHERE c.tenant = ? AND c.id = ?";
}
