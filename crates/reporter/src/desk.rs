//! Everything about the reports of one store, parsed once.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use receipt::{StoreCode, StoreSettings};
use serde::Serialize;

use crate::config::ReportSettings;
use crate::mail::{Layout, LayoutError};
use crate::schedule::{Schedule, zone_of};

/// How the reports of one store are made.
#[derive(Debug, Clone)]
pub struct Desk {
    /// As configured.
    pub settings: ReportSettings,
    /// The store's time zone.
    pub zone: TimeZone,
    /// When they are due.
    pub schedules: Vec<Schedule>,
    /// How they look.
    layout: Layout,
    /// How they look if that fails.
    otherwise: Layout,
}

impl Desk {
    /// The desk of a store.
    ///
    /// # Errors
    /// When the layout cannot be used.
    pub fn of(settings: ReportSettings, store: &StoreSettings) -> Result<Self, LayoutError> {
        let (schedules, _) = Schedule::all_of(&settings, store);
        Ok(Self {
            zone: zone_of(store),
            schedules,
            layout: Layout::of(settings.template.as_deref())?,
            otherwise: Layout::of(None)?,
            settings,
        })
    }

    /// The desks of all stores, also of those without a section: their reports can be asked for.
    ///
    /// # Errors
    /// When a layout cannot be used.
    pub fn all_of(
        reports: &BTreeMap<StoreCode, ReportSettings>,
        stores: &BTreeMap<StoreCode, StoreSettings>,
    ) -> Result<BTreeMap<StoreCode, Self>, LayoutError> {
        let desks = stores.iter().map(|(code, store)| {
            let settings = reports.get(code).cloned().unwrap_or_default();
            Ok((code.clone(), Self::of(settings, store)?))
        });
        desks.collect()
    }

    /// The HTML of a view. A layout that was changed after the start and fails now does not keep a report back.
    pub(crate) fn fill<T: Serialize>(&self, view: &T) -> String {
        match self.layout.fill(view) {
            Ok(html) => html,
            Err(error) => {
                let error = service::error::chain(&error);
                tracing::error!(error, "the layout of a report cannot be used; it has the built-in one");
                self.otherwise.fill(view).unwrap_or_default()
            }
        }
    }
}
