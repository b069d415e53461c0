//! The names that the fleet sections know, and the nearest one to a name they do not.

/// What an option of `[X-Fleet]` or `[X-Flota]` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    MachineId,
    MachineOf,
    MachineMetadata,
    Conflicts,
    Replaces,
    Global,
    Exclusive,
}

/// An option by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OptionName {
    pub(crate) name: &'static str,
    pub(crate) field: Field,
    /// Which option wins where several give the machine ID: the lowest.
    pub(crate) rank: usize,
}

/// The names that both sections know.
pub(crate) const MODERN: [OptionName; 6] = [
    option("MachineID", Field::MachineId, 0),
    option("MachineOf", Field::MachineOf, 0),
    option("MachineMetadata", Field::MachineMetadata, 0),
    option("Conflicts", Field::Conflicts, 0),
    option("Replaces", Field::Replaces, 0),
    option("Global", Field::Global, 0),
];

/// What fleet never knew; `[X-Flota]` alone knows it.
const OWN: [OptionName; 1] = [option("Exclusive", Field::Exclusive, 0)];

/// The names that fleet itself already called deprecated; `[X-Fleet]` alone knows them.
const DEPRECATED: [OptionName; 5] = [
    option("X-ConditionMachineID", Field::MachineId, 1),
    option("X-ConditionMachineBootID", Field::MachineId, 2),
    option("X-ConditionMachineOf", Field::MachineOf, 1),
    option("X-ConditionMachineMetadata", Field::MachineMetadata, 1),
    option("X-Conflicts", Field::Conflicts, 1),
];

const fn option(name: &'static str, field: Field, rank: usize) -> OptionName {
    OptionName { name, field, rank }
}

/// The two sections that Flota reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FleetSection {
    Fleet,
    Flota,
}

/// What a section's name says to Flota.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SectionMeaning {
    /// One of ours.
    Ours(FleetSection),
    /// Surely meant to be one of ours; holds the name that was meant.
    Misspelt(&'static str),
    /// systemd's business.
    Other,
}

impl FleetSection {
    pub(crate) fn find(self, name: &str) -> Option<OptionName> {
        self.known().find(|option| option.name == name)
    }

    fn known(self) -> impl Iterator<Item = OptionName> {
        let further: &[OptionName] = if self == Self::Fleet { &DEPRECATED } else { &OWN };
        MODERN.iter().chain(further).copied()
    }

    /// Advice for a name that this section does not know.
    pub(crate) fn hint(self, name: &str) -> String {
        if OWN.iter().any(|option| option.name == name) {
            return format!("{name} is not fleet's: write it in [X-Flota]");
        }
        if let Some(old) = DEPRECATED.iter().find(|option| option.name == name) {
            let modern = MODERN.iter().find(|option| option.field == old.field);
            return format!("write {}", modern.map_or("", |option| option.name));
        }
        let lower = name.to_ascii_lowercase();
        let nearest = self
            .known()
            .map(|option| (strsim::osa_distance(&option.name.to_ascii_lowercase(), &lower), option))
            .min_by_key(|(distance, _)| *distance);
        match nearest {
            Some((0, option)) => format!("names are case-sensitive: write {}", option.name),
            Some((distance, option)) if distance * 2 <= option.name.len() => {
                format!("did you mean {}?", option.name)
            }
            _ => {
                let own: &[OptionName] = if self == Self::Flota { &OWN } else { &[] };
                let names: Vec<&str> = MODERN.iter().chain(own).map(|option| option.name).collect();
                format!("valid options: {}", names.join(", "))
            }
        }
    }
}

impl SectionMeaning {
    pub(crate) fn of(section: &str) -> Self {
        match section {
            "X-Fleet" => return Self::Ours(FleetSection::Fleet),
            "X-Flota" => return Self::Ours(FleetSection::Flota),
            _ => {}
        }
        let mut plain = section.to_ascii_lowercase();
        plain.retain(|c| c.is_ascii_alphanumeric());
        let plain = plain.strip_prefix('x').unwrap_or(&plain);
        let near = |word| strsim::osa_distance(plain, word) <= 1;
        if near("fleet") {
            Self::Misspelt("X-Fleet")
        } else if near("flota") {
            Self::Misspelt("X-Flota")
        } else {
            Self::Other
        }
    }
}
