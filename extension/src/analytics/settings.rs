//! The setting of journey analytics.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static SMALLEST_GROUP: GucSetting<i32> = GucSetting::<i32>::new(5);

/// Defines it. Who looks at the overview cannot set it: else a group of one could be asked for. Of two
/// customers, each knows of the other.
pub fn define() {
    GucRegistry::define_int_guc(
        c"percytech.smallest_group",
        c"The fewest customers that brand_overview tells of.",
        c"Smaller groups are counted as \"other\", together with as many others as it takes.",
        &SMALLEST_GROUP,
        3,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
}
