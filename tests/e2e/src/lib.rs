//! Helpers of the end-to-end tests on lab machines.
