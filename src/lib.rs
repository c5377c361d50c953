//! curbside
