//! Times on the command line, as Java reads them: `2024-05-01T12:00:00.000+02:00` and `P1DT2H3M4.5S`.

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 of a date with time; without a zone it is UTC.
pub fn datetime(text: &str) -> Result<i64, String> {
    let Some((date, time)) = text.split_once('T').filter(|(_, time)| !time.is_empty()) else {
        return Err(String::from(
            "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format",
        ));
    };
    let zoned = time.contains(['+', '-', 'Z']);
    let shown = if zoned { text.to_owned() } else { format!("{text}Z") };
    parsed(date, time).ok_or_else(|| format!("Unparseable date: \"{shown}\""))
}

fn parsed(date: &str, time: &str) -> Option<i64> {
    let zone_at = time.find(['+', '-', 'Z']).unwrap_or(time.len());
    let (time, zone) = time.split_at_checked(zone_at)?;
    let mut date = date.split('-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, millis) = time.split_once('.')?;
    let mut clock = clock.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let millis = number(millis)?;
    let valid = date.next().is_none()
        && clock.next().is_none()
        && (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && millis < 1000;
    if !valid {
        return None;
    }
    let local =
        days(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000 + millis;
    Some(local - zone_ms(zone)?)
}

/// Digits only.
fn number(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// `Z`, `+01:30`, `-08`; nothing is UTC.
fn zone_ms(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone.starts_with('Z') {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let mut parts = zone.get(1..)?.splitn(2, ':').map(number);
    let (hours, minutes) = (parts.next()??, parts.next().unwrap_or(Some(0))?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Milliseconds of a duration.
pub fn duration_ms(text: &str) -> Result<i64, String> {
    let invalid = || String::from("Text cannot be parsed to a Duration");
    let (sign, rest) = signed(text);
    let rest = rest.strip_prefix(['P', 'p']).ok_or_else(invalid)?;
    let (days, time) = match rest.split_once(['T', 't']) {
        Some((_, "")) => return Err(invalid()),
        Some((days, time)) => (days, time),
        None => (rest, ""),
    };
    let mut total: i128 = 0;
    let mut parts = 0;
    let mut take = |text: &mut &str, unit: char, unit_ms: i128| -> Option<()> {
        let end = text.find([unit, unit.to_ascii_lowercase()]);
        let Some(end) = end else { return Some(()) };
        let (amount, rest) = text.split_at_checked(end)?;
        *text = rest.get(1..)?;
        parts += 1;
        total += milliseconds(amount, unit == 'S', unit_ms)?;
        Some(())
    };
    let (mut days, mut time) = (days, time);
    take(&mut days, 'D', i128::from(DAY_MS)).ok_or_else(invalid)?;
    for (unit, unit_ms) in [('H', 3_600_000), ('M', 60_000), ('S', 1000)] {
        take(&mut time, unit, unit_ms).ok_or_else(invalid)?;
    }
    if parts == 0 || !days.is_empty() || !time.is_empty() {
        return Err(invalid());
    }
    i64::try_from(total * i128::from(sign)).map_err(|_| invalid())
}

fn signed(text: &str) -> (i64, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn milliseconds(amount: &str, fraction: bool, unit_ms: i128) -> Option<i128> {
    let (sign, amount) = signed(amount);
    let (whole, part) = match amount.split_once(['.', ',']).filter(|_| fraction) {
        Some((whole, part)) => (whole, part),
        None => (amount, ""),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || whole.len() > 18 || !digits(whole) || part.len() > 9 || !digits(part) {
        return None;
    }
    let thousandths = format!("{part:0<3}");
    let part: i128 = thousandths.get(..3)?.parse().ok()?;
    let whole: i128 = whole.parse().ok()?;
    Some(i128::from(sign) * (whole * unit_ms + part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let check = |text: &str, expected: Result<i64, &str>| {
            assert_eq!(datetime(text), expected.map_err(str::to_owned), "{text}");
        };
        check("1970-01-01T00:00:00.000", Ok(0));
        check("2024-02-29T12:34:56.789Z", Ok(1_709_210_096_789));
        check("2024-02-29T12:34:56.789+01:30", Ok(1_709_204_696_789));
        check("2024-02-29T12:34:56.789-08", Ok(1_709_238_896_789));
        check("1969-12-31T23:59:59.999", Ok(-1));
        let no_t = "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format";
        check("2024-02-29", Err(no_t));
        check("2023-02-29T00:00:00.000", Err("Unparseable date: \"2023-02-29T00:00:00.000Z\""));
        check("2023-02-28T00:00:00", Err("Unparseable date: \"2023-02-28T00:00:00Z\""));
        check("2023-02-28T24:00:00.0Z", Err("Unparseable date: \"2023-02-28T24:00:00.0Z\""));
    }

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(duration_ms(text).ok(), expected, "{text}");
        };
        check("PT0S", Some(0));
        check("P1D", Some(DAY_MS));
        check("P1DT2H3M4.5S", Some(93_784_500));
        check("-PT1M", Some(-60_000));
        check("pt-1,25s", Some(-1250));
        check("PT1S1M", None);
        check("P", None);
        check("P1DT", None);
        check("1D", None);
        check("PT1X", None);
        check("PT99999999999999999999S", None);
    }
}
