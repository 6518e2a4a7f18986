//! Bookings as writers take them, and details as they were given: packed and unpacked on the caller's thread.

use domain::callback::Options;
use domain::ports::{Booking, Details, StoreError};

use super::command::Book;
use super::rows::check_storable;
use super::user_data::{pack, unpack};

/// A booking as the writer takes it: checked, its texts packed.
pub(in crate::stores) fn packed_book(booking: Booking) -> Result<Book, StoreError> {
    check_storable(&booking.callback)?;
    Ok(Book {
        options: packed_options(&booking.options)?,
        user_data: booking.user_data.as_deref().map(pack),
        callback: booking.callback,
        slot_capacity: booking.slot_capacity,
        grid: booking.grid,
        idempotency: booking.idempotency,
        limits: booking.limits,
        captcha: booking.captcha,
        hold: booking.hold,
        booked_at: booking.booked_at,
        announcement: booking.announcement,
        on_replaced: booking.on_replaced,
    })
}

fn packed_options(options: &Options) -> Result<Option<Vec<u8>>, StoreError> {
    if options.is_empty() {
        return Ok(None);
    }
    let text = serde_json::to_string(options)
        .map_err(|error| StoreError::NotDone(format!("cannot write the rare members: {error}")))?;
    Ok(Some(pack(&text)))
}

pub(in crate::stores) fn unpacked(packed: &[u8]) -> Result<String, StoreError> {
    unpack(packed).map_err(|error| StoreError::Unreadable(format!("a packed value: {error}")))
}
/// Rare members and user data of their packed forms.
pub(in crate::stores) fn unpacked_details(
    options: Option<&[u8]>,
    user_data: Option<&[u8]>,
) -> Result<Details, StoreError> {
    let options = match options {
        Some(packed) => serde_json::from_str(&unpacked(packed)?)
            .map_err(|_| StoreError::Unreadable("the rare members are no document of theirs".to_owned()))?,
        None => Options::default(),
    };
    Ok(Details { options, user_data: user_data.map(unpacked).transpose()? })
}
