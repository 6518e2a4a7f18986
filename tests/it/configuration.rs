//! The handbook's page on configuration against the code.

use ges::config;

use crate::documents;

#[test]
fn the_page_lists_every_setting_as_the_code_has_it() {
    documents::assert_holds("configuration.md", "settings", &config::markdown());
}

#[test]
fn names_are_unique_and_keys_of_the_file_too() {
    let settings = config::settings();
    let names: Vec<_> = settings.iter().map(|setting| setting.name).collect();
    for keys in
        [names.iter().map(ToString::to_string).collect::<Vec<_>>(), names.iter().map(|n| config::file_key(n)).collect()]
    {
        let mut unique = keys.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), keys.len(), "{keys:?}");
    }
}
