//! How one definition becomes a field and a row of the table of settings.

use super::Config;

/// A setting: where it is written, what it means, and how it is read.
pub struct Setting {
    /// Its key in the file, such as `limits.body_bytes`.
    pub name: &'static str,
    /// What it means.
    pub doc: &'static str,
    /// What may be written.
    pub allowed: &'static str,
    /// Whether it is a switch: its flag needs no value.
    pub is_switch: bool,
    pub(super) set: fn(&mut Config, &str) -> bool,
    pub(super) show: fn(&Config) -> String,
}

impl Setting {
    /// Returns its name in the environment, such as `LEFTFOLD_LIMITS_BODY_BYTES`.
    pub fn env(&self) -> String {
        format!("LEFTFOLD_{}", self.name.replace('.', "_").to_uppercase())
    }

    /// Returns its flag without the leading dashes, such as `limits-body-bytes`.
    pub fn flag(&self) -> String {
        self.name.replace(['.', '_'], "-")
    }

    /// Returns its default value.
    pub fn default(&self) -> String {
        self.show(&Config::default())
    }

    /// Returns its value in a configuration.
    pub fn show(&self, config: &Config) -> String {
        (self.show)(config)
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $field:ident: $kind:ty = $name:literal, $default:expr;)+) => {
        /// Every setting of the server.
        #[derive(Debug, Clone)]
        #[non_exhaustive]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $kind,)+
        }

        impl Config {
            /// The table of settings, in the order in which they are documented.
            pub const SETTINGS: &'static [Setting] = &[$(Setting {
                name: $name,
                doc: concat!($($doc),+),
                allowed: <$kind as Value>::ALLOWED,
                is_switch: <$kind as Value>::IS_SWITCH,
                set: |config, text| match <$kind as Value>::parse(text) {
                    Some(value) => {
                        config.$field = value;
                        true
                    }
                    None => false,
                },
                show: |config| Value::show(&config.$field),
            }),+];
        }

        impl Default for Config {
            fn default() -> Self {
                Config { $($field: $default),+ }
            }
        }
    };
}

pub(super) use settings;
