//! The labels of `public.brand_id`, from the catalog cache: asked once per query, so it must cost next to nothing.

use std::ffi::CStr;

use percytech_core::brand::Brands;
use pgrx::pg_sys;

/// The brands of this database; none where the type does not exist.
#[expect(unsafe_code, clippy::cast_ptr_alignment, reason = "PostgreSQL's catalog cache is read by pointer")]
pub fn brands() -> Brands {
    // SAFETY: called within a transaction; the cached list is released before return, and every label is copied.
    unsafe {
        let Some(brand_type) = brand_type() else { return Brands::default() };
        let list = pg_sys::SearchSysCacheList(
            pg_sys::SysCacheIdentifier::ENUMTYPOIDNAME.cast_signed(),
            1,
            brand_type.into(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        );
        let members = (*list).members.as_slice(usize::try_from((*list).n_members).unwrap_or(0));
        let mut labels: Vec<(f32, String)> = members
            .iter()
            .map(|&member| {
                // PostgreSQL aligns a tuple's data for every type.
                let label = pg_sys::GETSTRUCT(&raw mut (*member).tuple) as pg_sys::Form_pg_enum;
                let text = CStr::from_ptr((*label).enumlabel.data.as_ptr());
                ((*label).enumsortorder, text.to_string_lossy().into_owned())
            })
            .collect();
        pg_sys::ReleaseCatCacheList(list);
        labels.sort_by(|(left, _), (right, _)| left.total_cmp(right));
        Brands::new(labels.into_iter().map(|(_, label)| label).collect())
    }
}

#[expect(unsafe_code, reason = "PostgreSQL's catalog cache is read by pointer")]
unsafe fn brand_type() -> Option<pg_sys::Oid> {
    // SAFETY: the caller is within a transaction, and the names are C strings.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"public".as_ptr(), true);
        let found = pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPENAMENSP.cast_signed(),
            pg_sys::Anum_pg_type_oid.cast_signed().try_into().unwrap_or(1),
            c"brand_id".as_ptr().into(),
            schema.into(),
            pg_sys::Datum::null(),
            pg_sys::Datum::null(),
        );
        (found != pg_sys::InvalidOid).then_some(found)
    }
}
