//! PURE. One machine's mind: from a schedule and observed units to ordered operations.
