//! A list of durations as people write them, `["1m", "1d 12h"]`, for `Vec<Duration>` fields:
//! `#[serde(with = "service::config::durations")]`.

use std::time::Duration;

use humantime_serde::Serde;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads the texts.
///
/// # Errors
/// When one of them is no duration; the path names the item.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Duration>, D::Error> {
    let texts = Vec::<Serde<Duration>>::deserialize(deserializer)?;
    Ok(texts.into_iter().map(Serde::into_inner).collect())
}

/// Writes the same texts.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(durations: &[Duration], serializer: S) -> Result<S::Ok, S::Error> {
    let texts: Vec<_> = durations.iter().map(Serde::from).collect();
    texts.serialize(serializer)
}
