//! Quantiles of the normal distribution.

/// How many standard deviations to either side hold this share of a normal distribution: 1.96 for 0.95.
///
/// Wichura: Algorithm AS 241, The percentage points of the normal distribution (1988), PPND16; about 16 digits. `share` is
/// between 0 and 1.
pub fn central(share: f64) -> f64 {
    let half = share / 2.0;
    if half <= 0.425 {
        return half * MIDDLE.at(0.180_625 - half * half);
    }
    let far = (-(0.5 - half).ln()).sqrt();
    if far <= 5.0 { NEAR_TAIL.at(far - 1.6) } else { FAR_TAIL.at(far - 5.0) }
}

/// A quotient of two polynomials, the coefficients from the highest power down.
struct Quotient {
    numerator: [f64; 8],
    denominator: [f64; 8],
}

impl Quotient {
    fn at(&self, x: f64) -> f64 {
        let polynomial = |coefficients: &[f64; 8]| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
        polynomial(&self.numerator) / polynomial(&self.denominator)
    }
}

/// For half a share of 0.425 or less.
const MIDDLE: Quotient = Quotient {
    numerator: [
        2_509.080_928_730_122_7,
        33_430.575_583_588_13,
        67_265.770_927_008_7,
        45_921.953_931_549_87,
        13_731.693_765_509_46,
        1_971.590_950_306_551_3,
        133.141_667_891_784_38,
        3.387_132_872_796_366_5,
    ],
    denominator: [
        5_226.495_278_852_854,
        28_729.085_735_721_943,
        39_307.895_800_092_71,
        21_213.794_301_586_597,
        5_394.196_021_424_751,
        687.187_007_492_057_9,
        42.313_330_701_600_91,
        1.0,
    ],
};

/// For a logarithm of the rest of 25 or less: as good as always.
const NEAR_TAIL: Quotient = Quotient {
    numerator: [
        0.000_774_545_014_278_341_4,
        0.022_723_844_989_269_184,
        0.241_780_725_177_450_6,
        1.270_458_252_452_368_4,
        3.647_848_324_763_204_5,
        5.769_497_221_460_691,
        4.630_337_846_156_546,
        1.423_437_110_749_683_5,
    ],
    denominator: [
        1.050_750_071_644_416_9e-9,
        0.000_547_593_808_499_534_5,
        0.015_198_666_563_616_457,
        0.148_103_976_427_480_08,
        0.689_767_334_985_1,
        1.676_384_830_183_803_8,
        2.053_191_626_637_759,
        1.0,
    ],
};

/// For what is beyond.
const FAR_TAIL: Quotient = Quotient {
    numerator: [
        2.010_334_399_292_288_1e-7,
        2.711_555_568_743_487_6e-5,
        0.001_242_660_947_388_078_4,
        0.026_532_189_526_576_124,
        0.296_560_571_828_504_87,
        1.784_826_539_917_291_3,
        5.463_784_911_164_114,
        6.657_904_643_501_103,
    ],
    denominator: [
        2.044_263_103_389_939_7e-15,
        1.421_511_758_316_446e-7,
        1.846_318_317_510_054_8e-5,
        0.000_786_869_131_145_613_3,
        0.014_875_361_290_850_615,
        0.136_929_880_922_735_8,
        0.599_832_206_555_888,
        1.0,
    ],
};

#[cfg(test)]
mod tests {
    use super::central;

    /// `qnorm((1 - share) / 2, lower.tail = FALSE)` of R 4.2.2.
    const QNORM: &[(f64, f64)] = &[
        (0.01, 0.012_533_469_508_069_278),
        (0.5, 0.674_489_750_196_081_7),
        (0.8, 1.281_551_565_544_600_8),
        (0.85, 1.439_531_470_938_455_5),
        (0.9, 1.644_853_626_951_472_6),
        (0.95, 1.959_963_984_540_053_6),
        (0.99, 2.575_829_303_548_9),
        (0.999, 3.290_526_731_491_894_5),
        (0.999_999_046_325_683_6, 4.900_964_207_963_194),
        (0.999_999_999_883_584_7, 6.443_934_526_538_563_5),
        (0.999_999_999_999_090_5, 7.143_552_034_352_188),
        (0.999_999_999_999_999_9, 8.292_361_075_813_595),
    ];

    #[test]
    fn the_quantiles_are_those_of_r() {
        for &(share, expected) in QNORM {
            let z = central(share);
            assert!((z / expected - 1.0).abs() < 1e-15, "{share}: {z}, not {expected}");
        }
    }
}
