import ArgumentParser
import Distillation
import Telemetry

struct TaskCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "task", abstract: "Print problems of a generated task as lines of a prompt file.",
        discussion: """
            Tasks are 'arithmetic' (digits, operations, factor_digits, style) and 'format' (letters), with parameters \
            as in arithmetic:digits=3,operations=add+sub. A held-out problem is held out whatever the seed.
            """)

    @Argument(help: "The task, such as arithmetic:digits=2.")
    var task: String

    @Option(help: "Problems to print, all different.")
    var count = 10

    @Flag(help: "Print held-out problems instead of training problems.")
    var heldout = false

    @Option(help: "Seed of the problems.")
    var seed: UInt64 = 1

    func validate() throws {
        guard (1...10_000_000).contains(count) else { throw ValidationError("--count takes 1 to 10000000") }
    }

    func run() throws {
        do {
            let problems = try ExerciseGenerator(task).exercises(
                heldout ? .heldout : .training, seed: seed, count: count)
            for problem in problems { try StandardOutput.shared.writeLine(problem.jsonLine) }
        } catch let error as ExerciseError {
            throw CommandError.usage(error.message)
        }
    }
}
