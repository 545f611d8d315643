//! When a schedule comes: five fields of cron, in a zone.
//!
//! The fields mean what the clock on the wall says. When clocks are put forward, a moment that the
//! wall never shows comes right after the gap; when they are put back, one that it shows twice comes
//! the first time only. So a daily schedule comes once on every day, whatever the clocks do.

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::timestamp::Timestamp;

/// A schedule.
#[derive(Debug, Clone)]
pub struct Cron {
    fields: croner::Cron,
    zone: TimeZone,
}

/// Civil moments looked at for one that is yet to come: after clocks are put back, those of an hour
/// or two have been.
const TRIES_MAX: usize = 1000;

impl Cron {
    /// Reads five fields and the name of a zone, or says what is wrong with them.
    pub fn parse(expression: &str, zone: &str) -> Result<Cron, String> {
        if expression.split_whitespace().count() != 5 {
            return Err("a schedule has five fields: minute, hour, day, month, weekday".into());
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let fields = parser.parse(expression).map_err(|error| {
            let words = error.to_string();
            let words = words.trim_end_matches('.');
            format!("these fields cannot be read: {words}")
        })?;
        // The bundled database, not the machine's: the same file means the same everywhere.
        let zone = match zone {
            "UTC" => TimeZone::UTC,
            name => TimeZoneDatabase::bundled()
                .get(name)
                .map_err(|_| format!("there is no time zone `{name}`"))?,
        };
        let cron = Cron { fields, zone };
        // 2000-01-01: any start does, since dates repeat.
        match cron.next_after(Timestamp(946_684_800_000)) {
            Some(_) => Ok(cron),
            None => Err("this never comes".into()),
        }
    }

    /// The first moment behind `after`; none if there is none within the calendar.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let now = jiff::Timestamp::from_millisecond(after.0).ok()?;
        // The wall's clock, as if it were one that is never put forward or back.
        let mut wall = self.zone.to_datetime(now);
        for _ in 0..TRIES_MAX {
            wall = self.fields.find_next_occurrence(&wall, false).ok()?;
            let moment = self.moment(wall)?;
            if moment > now {
                return Some(Timestamp(moment.as_millisecond()));
            }
        }
        None
    }

    /// When the wall's clock shows this for the first time, or would have.
    fn moment(&self, wall: jiff::civil::DateTime) -> Option<jiff::Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(wall);
        let offset = ambiguous.offset();
        let moment = ambiguous.compatible().ok()?;
        match offset {
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => Some(moment),
            AmbiguousOffset::Gap { .. } => {
                let change = self.zone.preceding(moment).next();
                Some(change.map_or(moment, |change| change.timestamp()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next moments of a schedule, in the zone's own words.
    fn next(expression: &str, zone: &str, from: &str, count: usize) -> String {
        let cron = Cron::parse(expression, zone).unwrap();
        let from: jiff::Timestamp = from.parse().unwrap();
        let mut at = Timestamp(from.as_millisecond());
        let mut all = Vec::new();
        for _ in 0..count {
            at = cron.next_after(at).unwrap();
            let moment = jiff::Timestamp::from_millisecond(at.0).unwrap();
            let zoned = moment.to_zoned(cron.zone.clone());
            all.push(zoned.strftime("%a %d %b %H:%M %:z").to_string());
        }
        all.join(" · ")
    }

    #[test]
    fn weekdays_mean_weekdays() {
        insta::assert_snapshot!(
            next("30 4 * * 1-5", "Europe/Berlin", "2026-11-20T00:00:00Z", 3),
            @"Fri 20 Nov 04:30 +01:00 · Mon 23 Nov 04:30 +01:00 · Tue 24 Nov 04:30 +01:00"
        );
    }

    /// F36
    #[test]
    fn what_the_clock_skips_comes_once_right_after_the_gap() {
        insta::assert_snapshot!(
            next("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            @"Sat 28 Mar 02:30 +01:00 · Sun 29 Mar 03:00 +02:00 · Mon 30 Mar 02:30 +02:00"
        );
        insta::assert_snapshot!(
            next("*/20 * * * *", "America/New_York", "2026-03-08T06:30:00Z", 4),
            @"Sun 08 Mar 01:40 -05:00 · Sun 08 Mar 03:00 -04:00 · Sun 08 Mar 03:20 -04:00 · Sun 08 Mar 03:40 -04:00"
        );
        // Half an hour is put forward here.
        insta::assert_snapshot!(
            next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2),
            @"Sun 04 Oct 02:30 +11:00 · Mon 05 Oct 02:15 +11:00"
        );
    }

    /// F36
    #[test]
    fn what_the_clock_shows_twice_comes_the_first_time_only() {
        insta::assert_snapshot!(
            next("30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3),
            @"Sat 24 Oct 02:30 +02:00 · Sun 25 Oct 02:30 +02:00 · Mon 26 Oct 02:30 +01:00"
        );
        insta::assert_snapshot!(
            next("30 1 * * *", "America/New_York", "2026-11-01T04:00:00Z", 2),
            @"Sun 01 Nov 01:30 -04:00 · Mon 02 Nov 01:30 -05:00"
        );
        insta::assert_snapshot!(
            next("0 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", 3),
            @"Sun 25 Oct 03:00 +01:00 · Sun 25 Oct 04:00 +01:00 · Sun 25 Oct 05:00 +01:00"
        );
    }

    #[test]
    fn what_is_no_schedule_is_refused_in_words() {
        let said = |expression: &str, zone: &str| match Cron::parse(expression, zone) {
            Ok(_) => "fine".to_owned(),
            Err(words) => words,
        };
        let all = [
            said("* * * *", "UTC"),
            said("0 0 0 * * *", "UTC"),
            said("61 * * * *", "UTC"),
            said("0 0 31 2 *", "UTC"),
            said("0 0 29 2 *", "UTC"),
            said("@daily", "UTC"),
            said("0 4 * * *", "Berlin"),
            said("0 4 * * *", "../../etc/passwd"),
        ];
        insta::assert_snapshot!(all.join("\n"), @r"
        a schedule has five fields: minute, hour, day, month, weekday
        a schedule has five fields: minute, hour, day, month, weekday
        these fields cannot be read: Component error: Number out of bounds
        this never comes
        fine
        a schedule has five fields: minute, hour, day, month, weekday
        there is no time zone `Berlin`
        there is no time zone `../../etc/passwd`
        ");
    }
}
