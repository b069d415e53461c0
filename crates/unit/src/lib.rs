//! PURE. What a unit is: names, unit files, fleet options, diagnostics.
