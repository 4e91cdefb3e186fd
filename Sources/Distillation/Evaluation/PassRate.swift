import Glibc
import Randomness

/// An estimate with a 95% confidence interval.
package struct Estimate: Sendable, Equatable, Codable {
    package var mean: Double
    package var low: Double
    package var high: Double

    package init(mean: Double, low: Double, high: Double) {
        self.mean = mean
        self.low = low
        self.high = high
    }
}

/// The two-sided 95% quantile of the normal distribution.
private let z95 = 1.959963984540054

/// Wilson's score interval of a rate: Wilson, 1927. Unlike the normal interval it holds for rates near 0 and 1.
/// - Parameters:
///   - rate: 0 ... 1, the share of trials that succeeded; a mean of shares where a trial is several samples.
///   - trials: independent trials, at least 1.
package func wilsonInterval(rate: Double, trials: Int) -> Estimate {
    let n = Double(max(trials, 1)), z2 = z95 * z95
    let centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    let half = z95 / (1 + z2 / n) * (rate * (1 - rate) / n + z2 / (4 * n * n)).squareRoot()
    return Estimate(mean: rate, low: max(0, centre - half), high: min(1, centre + half))
}

/// The chance that at least one of k samples passes, estimated without bias from n samples of which c passed:
/// 1 - C(n - c, k) / C(n, k). Source: Chen and others, arXiv:2107.03374, equation 1.
/// - Parameters:
///   - samples: n, at least k.
///   - passed: c, 0 ... n.
///   - k: at least 1.
package func passAtK(samples n: Int, passed c: Int, k: Int) -> Double {
    precondition(k >= 1 && k <= n && (0...n).contains(c), "pass@k needs at least k samples")
    guard n - c >= k else { return 1 }
    // As a product, for the binomials themselves are too large: of i = n-c+1 ... n, the factors 1 - k / i.
    var miss = 1.0
    for i in stride(from: n - c + 1, through: n, by: 1) { miss *= 1 - Double(k) / Double(i) }
    return 1 - miss
}

/// The ratio of two sums over problems, with the percentile bootstrap interval over problems: Efron, 1979.
///
/// Where `weights` is nil, the interval is that of the mean of `values`. The resamples are drawn from a fixed seed, so
/// that the same values give the same interval.
package func bootstrap(_ values: [Double], weights: [Double]? = nil, resamples: Int = 2000) -> Estimate {
    precondition(weights == nil || weights?.count == values.count, "one weight a value")
    guard !values.isEmpty else { return Estimate(mean: .nan, low: .nan, high: .nan) }
    func ratio(_ sum: Double, _ weight: Double) -> Double { weight == 0 ? 0 : sum / weight }
    let total = values.reduce(0, +), totalWeight = weights.map { $0.reduce(0, +) } ?? Double(values.count)
    let mean = ratio(total, totalWeight)
    let random = CounterRandom(key: 0x626F_6F74, UInt64(values.count))
    var means = (0..<resamples).map { resample -> Double in
        var sum = 0.0, weight = 0.0
        for draw in values.indices {
            let index = Int(random.integer(below: UInt64(values.count), UInt64(resample * values.count + draw)))
            sum += values[index]
            weight += weights?[index] ?? 1
        }
        return ratio(sum, weight)
    }
    means.sort()
    func quantile(_ q: Double) -> Double {
        let place = q * Double(means.count - 1), index = Int(place)
        let next = min(index + 1, means.count - 1)
        return means[index] + (place - Double(index)) * (means[next] - means[index])
    }
    return Estimate(mean: mean, low: quantile(0.025), high: quantile(0.975))
}
