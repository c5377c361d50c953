//! What the processor must be able to do. The CPU kernels are chosen when the product is compiled.

/// One sentence if this processor lacks an instruction set the product was compiled for (x86-64-v3).
///
/// Asks the processor itself: the standard library's check is constantly true for a feature enabled at compile time.
#[cfg(target_arch = "x86_64")]
pub fn check_cpu() -> Result<(), String> {
    let cpuid = raw_cpuid::CpuId::new();
    let basic = cpuid.get_feature_info();
    let extended = cpuid.get_extended_feature_info();
    let amd = cpuid.get_extended_processor_and_feature_identifiers();
    let has = [
        ("AVX2", extended.as_ref().is_some_and(|f| f.has_avx2())),
        ("FMA", basic.as_ref().is_some_and(|f| f.has_fma())),
        ("F16C", basic.as_ref().is_some_and(|f| f.has_f16c())),
        ("BMI1", extended.as_ref().is_some_and(|f| f.has_bmi1())),
        ("BMI2", extended.as_ref().is_some_and(|f| f.has_bmi2())),
        ("LZCNT", amd.as_ref().is_some_and(|f| f.has_lzcnt())),
        ("MOVBE", basic.as_ref().is_some_and(|f| f.has_movbe())),
    ];
    let missing: Vec<&str> = has.into_iter().filter(|(_, there)| !there).map(|(name, _)| name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!(
        "This processor lacks {}: curbside needs x86-64-v3, that is a server or desktop processor from about 2013 on.",
        missing.join(", ")
    ))
}

#[cfg(not(target_arch = "x86_64"))]
pub fn check_cpu() -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_processor_that_runs_this_test_will_do() {
        // The tests were compiled for it too.
        assert_eq!(super::check_cpu(), Ok(()));
    }
}
