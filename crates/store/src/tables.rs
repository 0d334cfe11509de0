//! The store's own tables: block 0x00xx.

use crate::Table;

/// By name: the owner and epoch of a lease.
pub(crate) const LEASES: Table = Table(0x0001);
/// By name: until when a lease is held. Apart from the epoch, so that renewing it disturbs no claim.
pub(crate) const LEASE_TERMS: Table = Table(0x0002);
/// By owner: when its next timer is due.
pub(crate) const TIMERS: Table = Table(0x0003);
/// By owner, due time and id: a timer's payload.
pub(crate) const TIMER_ITEMS: Table = Table(0x0004);
