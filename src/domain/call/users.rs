//! What a receiver that keeps users is asked about them, as UserHub's receivers are.
//!
//! None of these types prints: there are people in them.

use std::ops::RangeInclusive;

use crate::domain::webhook::members::Faults;

pub const USER_ID_CHARS_MAX: usize = 1_024;
pub const DISPLAY_NAME_CHARS_MAX: usize = 200;
pub const EMAIL_CHARS_MAX: usize = 320;
pub const IMAGE_URL_CHARS_MAX: usize = 2_000;
pub const PAGE_TOKEN_CHARS_MAX: usize = 8_192;
/// How many users a page may be asked to have.
pub const PAGE_SIZE: RangeInclusive<u32> = 1..=1_000;
/// The digits of a phone number (E.164).
pub const PHONE_DIGITS: RangeInclusive<usize> = 2..=15;

/// What a receiver may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserAction {
    List,
    Get,
    Create,
    Update,
    Delete,
}

impl UserAction {
    pub const ALL: [Self; 5] = [Self::List, Self::Get, Self::Create, Self::Update, Self::Delete];

    /// As receivers know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "users.list",
            Self::Get => "users.get",
            Self::Create => "users.create",
            Self::Update => "users.update",
            Self::Delete => "users.delete",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }
}

/// What it is asked with.
pub enum UserRequest {
    List { page_size: u32, page_token: Option<String> },
    Get { id: String },
    Create(User),
    Update(User),
    Delete { id: String },
}

impl UserRequest {
    pub fn action(&self) -> UserAction {
        match self {
            Self::List { .. } => UserAction::List,
            Self::Get { .. } => UserAction::Get,
            Self::Create(_) => UserAction::Create,
            Self::Update(_) => UserAction::Update,
            Self::Delete { .. } => UserAction::Delete,
        }
    }
}

/// A user; what is `None` is not said.
pub struct User {
    pub id: Option<String>,
    pub display_name: Option<String>,
    pub email: Option<String>,
    pub email_verified: Option<bool>,
    pub phone_number: Option<String>,
    pub phone_number_verified: Option<bool>,
    pub image_url: Option<String>,
    pub disabled: Option<bool>,
}

pub fn id(text: String, faults: &mut impl Faults) -> Option<String> {
    let is_sound = !text.is_empty() && is_line(&text, USER_ID_CHARS_MAX);
    let wanted = format!("is 1 to {USER_ID_CHARS_MAX} characters, none of them a control character");
    faults.take("/id", is_sound.then_some(text).ok_or(wanted))
}

pub fn display_name(text: String, faults: &mut impl Faults) -> Option<String> {
    line("/displayName", text, DISPLAY_NAME_CHARS_MAX, faults)
}

pub fn email(text: String, faults: &mut impl Faults) -> Option<String> {
    line("/email", text, EMAIL_CHARS_MAX, faults)
}

pub fn image_url(text: String, faults: &mut impl Faults) -> Option<String> {
    line("/imageUrl", text, IMAGE_URL_CHARS_MAX, faults)
}

/// One that is empty takes the number away, as receivers show a user who has none.
pub fn phone_number(text: String, faults: &mut impl Faults) -> Option<String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let is_number = PHONE_DIGITS.contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_none = text.is_empty();
    let wanted =
        "is a number as E.164 has it, such as +12125550123: `+`, then 2 to 15 digits, the first of them no 0; or empty";
    faults.take("/phoneNumber", (is_number || is_none).then_some(text).ok_or(wanted))
}

pub fn page_size(count: u32, faults: &mut impl Faults) -> Option<u32> {
    let wanted = format!("is a number of users from {} to {}", PAGE_SIZE.start(), PAGE_SIZE.end());
    faults.take("/pageSize", PAGE_SIZE.contains(&count).then_some(count).ok_or(wanted))
}

/// Whatever the receiver called the next page goes back to it as it came.
pub fn page_token(text: String, faults: &mut impl Faults) -> Option<String> {
    let fits = text.chars().count() <= PAGE_TOKEN_CHARS_MAX;
    let wanted = format!("is at most {PAGE_TOKEN_CHARS_MAX} characters, as the page before gave it as nextPageToken");
    faults.take("/pageToken", fits.then_some(text).ok_or(wanted))
}

fn line(pointer: &str, text: String, chars_max: usize, faults: &mut impl Faults) -> Option<String> {
    let wanted = format!("is at most {chars_max} characters, none of them a control character");
    faults.take(pointer, is_line(&text, chars_max).then_some(text).ok_or(wanted))
}

fn is_line(text: &str, chars_max: usize) -> bool {
    text.chars().count() <= chars_max && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Said(Vec<String>);

    impl Faults for Said {
        fn add(&mut self, pointer: impl Into<String>, _: impl ToString) {
            self.0.push(pointer.into());
        }
    }

    #[test]
    fn a_member_that_no_receiver_takes_is_named() {
        let check = |member: fn(String, &mut Said) -> Option<String>, text: &str, fault: Option<&str>| {
            let mut said = Said::default();
            let kept = member(text.to_owned(), &mut said);
            let words = text.chars().take(40).collect::<String>();
            assert_eq!((kept.is_some(), said.0.first().map(String::as_str)), (fault.is_none(), fault), "{words}");
        };

        for (member, pointer, chars_max) in [
            (id as fn(String, &mut Said) -> Option<String>, "/id", USER_ID_CHARS_MAX),
            (display_name, "/displayName", 200),
            (email, "/email", 320),
            (image_url, "/imageUrl", 2_000),
        ] {
            check(member, &"ä".repeat(chars_max), None);
            check(member, &"ä".repeat(chars_max + 1), Some(pointer));
            check(member, "a\nb", Some(pointer));
        }
        check(id, "", Some("/id"));
        check(email, "", None);
        for number in ["", "+12125550123", "+49", "+123456789012345"] {
            check(phone_number, number, None);
        }
        for number in [" ", "+", "+1", "12125550123", "+1 212", "+01234567", "+1234567890123456", "+1212555ä", "+-5"] {
            check(phone_number, number, Some("/phoneNumber"));
        }
        check(page_token, "a\nb", None);
        check(page_token, &"a".repeat(PAGE_TOKEN_CHARS_MAX + 1), Some("/pageToken"));
        let sizes = [0, 1, 1_000, 1_001].map(|size| page_size(size, &mut Said::default()));
        assert_eq!(sizes, [None, Some(1), Some(1_000), None]);
    }

    #[test]
    fn an_action_is_known_by_its_name() {
        for action in UserAction::ALL {
            assert_eq!(UserAction::parse(action.as_str()), Some(action));
        }
        assert_eq!(UserAction::parse("users.purge"), None);
    }
}
