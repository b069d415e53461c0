//! PURE. The leader's mind: who runs what, and why.
