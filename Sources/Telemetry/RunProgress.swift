import Distillation
import Glibc
import Locking

/// Shows a run to a person: one live line on a terminal, a few where it is wide, and a bar above for every judged
/// evaluation; a line a step elsewhere; nothing when quiet.
///
/// Every call returns at once and may come from any thread.
package final class RunProgress: Sendable {
    private struct State: Sendable {
        var line: ProgressLine
        var lastDrawn: Double = -1
    }

    private let console: Console
    private let isQuiet: Bool
    private let state: Locked<State>

    /// - Parameters:
    ///   - steps: steps of the whole run.
    ///   - step: steps done before, when a run resumes.
    package init(
        steps: Int, startingAfter step: Int = 0, verbosity: Verbosity = .normal, console: Console = .standardError
    ) {
        self.console = console
        isQuiet = verbosity == .quiet
        state = Locked(State(line: ProgressLine(steps: steps, startingAfter: step)))
    }

    /// The run goes on after so many steps that were done before.
    package func resume(after step: Int) { state.withLock { $0.line.step = step } }

    /// A step is done.
    package func record(_ metrics: StepMetrics) {
        let width = console.width
        let (plain, bar) = state.withLock { state in
            state.line.record(metrics)
            state.lastDrawn = -1
            return (state.line.plain, state.line.bar(width: width))
        }
        if isQuiet { return }
        if console.isTerminal {
            if let bar { console.print(bar) }
            draw()
        } else {
            console.print(plain)
        }
    }

    /// How far the current step is: rollouts sampled and scored, of how many.
    package func stepProgress(sampled: Int, scored: Int, of wanted: Int) {
        state.withLock { state in
            (state.line.sampled, state.line.scored, state.line.wanted) = (sampled, scored, wanted)
            state.line.activity = nil
        }
        draw()
    }

    /// What the run does outside a step, such as "evaluating 12/32"; nil: it is back to the step.
    package func activity(_ text: String?) {
        state.withLock { $0.line.activity = text }
        draw()
    }

    /// Ends the live line; what is printed next goes below it.
    package func finish() { if !isQuiet { console.endLive() } }

    /// Redraws at most ten times a second.
    private func draw() {
        guard !isQuiet, console.isTerminal else { return }
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        let seconds = Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
        let width = console.width
        let text = state.withLock { state -> String? in
            guard seconds - state.lastDrawn >= 0.1 else { return nil }
            state.lastDrawn = seconds
            return state.line.panel(width: width)
        }
        if let text { console.redraw(text) }
    }
}
