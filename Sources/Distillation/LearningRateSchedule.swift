import Glibc

/// Learning rate as a function of the step.
package struct LearningRateSchedule: Sendable, Equatable {
    /// What follows the warm-up.
    package enum Shape: String, Sendable, CaseIterable { case constant, linear, cosine }

    package var shape: Shape
    /// Highest rate, reached at the end of the warm-up.
    package var peak: Double
    /// Lowest rate of the linear and cosine shapes, reached at the last step.
    package var minimum: Double
    /// Steps over which the rate rises linearly; the first step already moves.
    package var warmupSteps: Int
    /// Steps of the run.
    package var totalSteps: Int

    package init(shape: Shape = .constant, peak: Double, minimum: Double = 0, warmupSteps: Int = 0, totalSteps: Int) {
        self.shape = shape
        self.peak = peak
        self.minimum = minimum
        self.warmupSteps = warmupSteps
        self.totalSteps = totalSteps
    }

    /// The rate of a step, counted from 0.
    package func rate(step: Int) -> Double {
        if step < warmupSteps { return peak * Double(step + 1) / Double(warmupSteps) }
        let remaining = max(1, totalSteps - warmupSteps - 1)
        let progress = min(1, Double(step - warmupSteps) / Double(remaining))
        switch shape {
        case .constant: return peak
        case .linear: return peak + (minimum - peak) * progress
        case .cosine: return minimum + (peak - minimum) * 0.5 * (1 + cos(Double.pi * progress))
        }
    }
}
