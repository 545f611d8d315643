//! The fault campaign: the same stories as always, longer and more often.

/// `whole` under `make campaign`, which sets `SEAWORTHY_CAMPAIGN`; `short` otherwise. A story always
/// runs; only how often, how long or how much is different.
#[must_use]
pub fn scale<T>(short: T, whole: T) -> T {
    match std::env::var_os("SEAWORTHY_CAMPAIGN") {
        Some(_) => whole,
        None => short,
    }
}
