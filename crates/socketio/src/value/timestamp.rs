//! A point in time as JavaScript's `Date` prints it in JSON.

use std::fmt;

const SECONDS_PER_DAY: i64 = 86_400;

/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_BEFORE_EPOCH: i64 = 719_468;

/// Days in 400 years, after which the Gregorian calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;

/// Prints as `2026-01-31T23:59:59.123Z`.
pub(super) struct Iso8601 {
    seconds: i64,
    milliseconds: u32,
}

impl Iso8601 {
    pub(super) const fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self {
            seconds,
            milliseconds: nanoseconds / 1_000_000,
        }
    }
}

impl fmt::Display for Iso8601 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_date(self.seconds.div_euclid(SECONDS_PER_DAY));
        let second = self.seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        // ECMA-262, "Date Time String Format": other years have a sign and six digits.
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}")?;
        } else {
            write!(f, "{year:+07}")?;
        }
        let milliseconds = self.milliseconds;
        write!(
            f,
            "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z"
        )
    }
}

/// Year, month and day of a day counted from the Unix epoch.
///
/// Years are taken to begin in March, so that the leap day is the last day of a year and the
/// lengths of the months before it follow one line: 30.6 days each.
const fn civil_date(days_since_epoch: i64) -> (i64, i64, i64) {
    let days = days_since_epoch + DAYS_BEFORE_EPOCH;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}
