import Engines
import Foundation
import JSON
import Logging

/// A torch engine that outlives its processes: when they die, new ones are brought to the same state.
///
/// `@unchecked Sendable`: everything that changes is used under the lock. Methods block the calling thread.
final class TorchSession: @unchecked Sendable {
    private let reference: TorchReference
    private let threads: Int
    private let load: Load
    private let logger = Logger(label: "opd.torch")

    private let lock = NSLock()
    private var connection: TorchConnection?
    /// Counts the engines: what one was asked for means nothing to the next.
    private var generation = 0
    /// The state that the journal begins at; nil: that of the loaded model.
    private var base: OpenFolder?
    private var journal = TorchJournal()

    /// An engine is given up when it dies so often without doing what it was asked.
    private static let mostDeaths = 3

    /// Makes the request that loads a model, which may name files in `folder`.
    typealias Load = @Sendable (_ folder: String) throws -> TorchMessage

    /// Starts an engine and loads the model.
    /// - Parameter prepare: may ask the engine something before it says how the model is loaded, then and ever after.
    /// - Throws: what the learner can be told.
    init(
        _ reference: TorchReference, threads: Int,
        prepare: (_ ask: (TorchMessage) throws -> TorchMessage) throws -> Load
    ) throws {
        self.reference = reference
        self.threads = threads
        do {
            let connection = try TorchConnection(reference, threads: threads)
            load = try prepare(connection.call)
            _ = try connection.call(load(connection.folder))
            self.connection = connection
        } catch let failure as TorchFailure {
            throw failure.engineError
        }
    }

    /// Does something that can be done again from the beginning by a new engine when this one dies.
    /// - Parameter work: is given the engine that it is to ask.
    func attempt<Result>(_ work: (_ generation: Int) throws -> Result) throws -> Result {
        var deaths = 0
        while true {
            do {
                return try work(try ready())
            } catch TorchFailure.died(let reason, let canBeTriedAgain) {
                deaths += 1
                guard canBeTriedAgain, deaths < Self.mostDeaths else {
                    throw TorchFailure.died(reason: reason, canBeTriedAgain: false).engineError
                }
                logger.warning("the torch engine \(reason); it is started again")
            } catch let failure as TorchFailure {
                throw failure.engineError
            }
        }
    }

    /// Asks the engine of a generation.
    /// - Throws: ``TorchFailure/died(reason:canBeTriedAgain:)`` when it is not there any more.
    func call(_ request: TorchMessage, _ generation: Int) throws -> TorchMessage {
        try lock.withLock {
            guard generation == self.generation, let connection else {
                throw TorchFailure.died(reason: "was started anew", canBeTriedAgain: true)
            }
            return try callUnlocked(request, connection)
        }
    }

    private func callUnlocked(_ request: TorchMessage, _ connection: TorchConnection) throws -> TorchMessage {
        do {
            return try connection.call(request)
        } catch TorchFailure.died(let reason, let canBeTriedAgain) {
            self.connection = nil
            throw TorchFailure.died(reason: reason, canBeTriedAgain: canBeTriedAgain)
        }
    }

    /// Notes a step that the engine took.
    func note(_ step: TorchJournal.Step) { lock.withLock { journal.append(step) } }

    /// Asks for what makes a folder the state that the engine is in: a new one begins there.
    func call(_ request: TorchMessage, makingStateOf folder: String, _ generation: Int) throws {
        _ = try call(request, generation)
        lock.withLock {
            base = OpenFolder(folder)
            journal.clear()
        }
    }

    /// A folder for what has no place of its own; it goes with the engine.
    var folder: String? { lock.withLock { connection?.folder } }

    /// Gives weights a file that the engine can read: the learner's in shared memory, or one of their own for as long as
    /// `work` takes.
    func withFile(of bytes: WeightBytes, _ work: (_ path: String) throws -> Void) throws {
        if let path = bytes.path { return try work(path) }
        guard let folder else { throw TorchFailure.died(reason: "was started anew", canBeTriedAgain: true) }
        let path = "\(folder)/weights"
        try bytes.write(to: path)
        defer { unlink(path) }
        try work(path)
    }

    /// An engine in the present state, a new one if it must be.
    private func ready() throws -> Int {
        try lock.withLock {
            if connection == nil {
                let connection = try startAgain()
                if let base {
                    guard let folder = base.path else { throw lost("its last checkpoint was removed") }
                    _ = try connection.call(TorchMessage("restore", ["folder": .string(folder)]))
                }
                guard journal.isWhole else { throw lost("the last checkpoint is too long ago") }
                for step in journal.steps {
                    for pass in step.passes {
                        _ = try connection.call(pass.forward)
                        _ = try connection.call(pass.backward)
                    }
                    _ = try connection.call(step.update)
                }
                self.connection = connection
                generation += 1
                logger.notice("the torch engine is back, with \(journal.steps.count) steps done again")
            }
            return generation
        }
    }

    private func lost(_ reason: String) -> TorchFailure {
        .died(reason: "died, and \(reason); go on with --resume", canBeTriedAgain: false)
    }

    /// Starts another engine: what it was asked for has been good before.
    private func startAgain() throws -> TorchConnection {
        do {
            return try start()
        } catch TorchFailure.notStarted(let reason) {
            throw TorchFailure.died(reason: "cannot be started again: \(reason)", canBeTriedAgain: true)
        }
    }

    private func start() throws -> TorchConnection {
        let connection = try TorchConnection(reference, threads: threads)
        _ = try connection.call(load(connection.folder))
        return connection
    }
}
