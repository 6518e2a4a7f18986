//! The one integration-test binary.

mod routing_contract;
