/// A program of the user's own as an environment: how it is called, and what it may take.
package struct ProgramSettings: Sendable {
    /// The program and its arguments; at least one word.
    package var command: [String]
    /// Episodes that one program plays at once.
    package var slots: Int
    /// The most programs that run at once.
    package var mostPrograms: Int
    /// Whether it gives a reward, which then every episode that it ends has.
    package var givesReward: Bool
    /// How long it may take from its start to its first answer, and for each later one.
    package var startLimit: Duration
    package var answerLimit: Duration
    /// The most bytes of address space of each of its processes; nil: no limit.
    package var addressSpace: UInt64?
    /// File that its standard error is appended to.
    package var logPath: String
    /// Programs that fail one after the other, without an episode played to its end, after which none is started.
    package var mostFailures: Int
    /// How long it is waited before one is started again, after so many failures in a row.
    package var backoff: @Sendable (_ failures: Int) -> Duration = { .milliseconds(100 << min($0 - 1, 5)) }

    /// - Parameter samplesPerPrompt: episodes of one prompt. Each fails its program twice before it is given up, so that
    ///   a prompt which no program outlives is no reason to end.
    package init(
        command: [String], slots: Int = 1, mostPrograms: Int = 1, givesReward: Bool = true,
        startLimit: Duration = .seconds(60), answerLimit: Duration = .seconds(30), addressSpace: UInt64? = nil,
        samplesPerPrompt: Int = 1, logPath: String
    ) {
        precondition(!command.isEmpty, "a program has a name")
        self.command = command
        self.slots = max(slots, 1)
        self.mostPrograms = max(mostPrograms, 1)
        self.givesReward = givesReward
        self.startLimit = startLimit
        self.answerLimit = answerLimit
        self.addressSpace = addressSpace
        self.logPath = logPath
        mostFailures = max(5, 2 * samplesPerPrompt + 1)
    }

    /// The command as a person reads it.
    package var name: String { "'" + command.joined(separator: " ") + "'" }
}
