//! Networks as others have measured or standardised them: `link.preset`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A network that somebody has measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// None: settings are as they are without it.
    #[default]
    None,
    /// WebPageTest's 4G: 9 Mbit/s both ways, a round trip of 170 ms.
    #[serde(rename = "4g")]
    FourG,
    /// WebPageTest's 3G: 1.6 Mbit/s down, 768 kbit/s up, a round trip of 300 ms.
    #[serde(rename = "3g")]
    ThreeG,
    /// A geostationary satellite: 20 Mbit/s down, 2 Mbit/s up, a round trip of 600 ms.
    Satellite,
    /// A hotel's shared line: 1 Mbit/s both ways, a round trip of 50 ms, and a queue that is deep for it.
    HotelWifi,
    /// New York to Paris: a round trip of 78 ms.
    Transatlantic,
}

/// What a preset is: a row for each.
#[derive(Debug)]
pub struct PresetRow {
    /// Its name in files: `4g`.
    pub name: &'static str,
    /// What it stands for.
    pub says: &'static str,
    /// Settings of `[link]` by their names, and the value of each as one writes it.
    pub settings: &'static [(&'static str, &'static str)],
    /// Where the values come from.
    pub source: &'static str,
}

const NONE: PresetRow = PresetRow { name: "none", says: "", settings: &[], source: "" };
const FOUR_G: PresetRow = PresetRow {
    name: "4g",
    says: "WebPageTest's profile 4G: 9 Mbit/s both ways, a round trip of 170 ms.",
    settings: &[("rate", "9 Mbit/s"), ("delay", "85ms")],
    source: "https://docs.webpagetest.org/api/reference/",
};
const THREE_G: PresetRow = PresetRow {
    name: "3g",
    says: "WebPageTest's profile 3G: 1.6 Mbit/s down, 768 kbit/s up, a round trip of 300 ms.",
    settings: &[("down.rate", "1.6 Mbit/s"), ("up.rate", "768 kbit/s"), ("delay", "150ms")],
    source: "https://github.com/catchpoint/WebPageTest/blob/master/www/settings/connectivity.ini.sample",
};
const SATELLITE: PresetRow = PresetRow {
    name: "satellite",
    says: "A geostationary satellite as emulated for QUIC's implementations: 20 Mbit/s down, 2 Mbit/s up, a round trip of \
           600 ms.",
    settings: &[("down.rate", "20 Mbit/s"), ("up.rate", "2 Mbit/s"), ("delay", "300ms")],
    source: "https://arxiv.org/abs/2202.08228",
};
const HOTEL_WIFI: PresetRow = PresetRow {
    name: "hotel-wifi",
    says: "What a log of hotels came to, 1 Mbit/s however little is asked for, over a line with the round trip of \
           WebPageTest's profile DSL, 50 ms. The source says nothing of loss: none is set.",
    settings: &[("rate", "1 Mbit/s"), ("delay", "25ms")],
    source: "https://www.pbogard.com/projects/hotel-internet-quality",
};
const TRANSATLANTIC: PresetRow = PresetRow {
    name: "transatlantic",
    says: "New York to Paris and back, a ping of 78 ms; as fast as this machine.",
    settings: &[("delay", "39ms")],
    source: "https://wonderproxy.com/blog/miles-per-milisecond/",
};

impl Preset {
    /// Every one that sets something.
    pub const ALL: [Self; 5] = [Self::FourG, Self::ThreeG, Self::Satellite, Self::HotelWifi, Self::Transatlantic];

    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.row().name == name)
    }

    pub const fn row(self) -> &'static PresetRow {
        match self {
            Self::None => &NONE,
            Self::FourG => &FOUR_G,
            Self::ThreeG => &THREE_G,
            Self::Satellite => &SATELLITE,
            Self::HotelWifi => &HOTEL_WIFI,
            Self::Transatlantic => &TRANSATLANTIC,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_goes_by_its_rows_name_in_files_too() {
        for preset in Preset::ALL {
            let row = preset.row();
            assert_eq!(serde_json::to_value(preset).unwrap(), row.name);
            assert_eq!(Preset::find(row.name), Some(preset));
            assert!(row.source.starts_with("https://") && !row.settings.is_empty(), "{}", row.name);
        }
    }
}
