import ArgumentParser
import Configuration
import Files
import Placement
import RunFiles
import Supervision

struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Place a run on machines that ssh reaches, and start what does not run yet.",
        discussion: """
            Checks every machine of HOSTS, copies there what differs, starts the learner, and then workers and scorers, which \
            go on without this command. Given again, it starts what is missing and ends what HOSTS no longer has.
            """)

    @Argument(help: "The YAML file of machines, and what each does.")
    var hosts: String

    @OptionGroup var options: ConfigurationOptions

    @Flag(
        help: "Go on with a run that was begun otherwise, that has ended, or whose folder was brought to the learner.")
    var resume = false

    @Flag(
        help: "Stay, and start workers and scorers that die again, until the learner ends; Ctrl-C leaves all running.")
    var watch = false

    func run() async throws {
        let file = try HostsFile.load(hosts)
        let loaded = try RunConfiguration.load(options.config, overrides: options.overrides)
        for warning in loaded.warnings { printToStandardError("warning: \(warning)") }
        var request = UpRequest(file: file, source: hosts, configuration: loaded.configuration)
        request.resumes = resume
        try await placing(loaded.configuration.runFolder) { [request, watch] placement in
            let outcome = try await placement.up(request)
            for failure in outcome.failures { printToStandardError("error: \(failure)") }
            if !outcome.isDone {
                let kept = outcome.kept.count
                printToStandardError("\(outcome.started.count) started, \(kept) run already")
            }
            guard watch, !outcome.isDone, outcome.started.count + outcome.kept.count > 0 else {
                throw ExitCode(outcome.failures.isEmpty ? 0 : 1)
            }
            if let end = try await placement.watch(request) { throw CommandError(message: end) }
        }
    }
}

struct PsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "List the processes that 'opd up' has started, and what the learner says of them.")

    @OptionGroup var place: PlacedRun

    func run() async throws {
        try await placing(try place.folder) { placement in
            let list = try await placement.list()
            try StandardOutput.shared.writeLine(list.text)
            for failure in list.failures { printToStandardError("error: \(failure)") }
            throw ExitCode(list.failures.isEmpty ? 0 : 1)
        }
    }
}

struct DownCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down",
        abstract: "End the processes that 'opd up' has started: the learner last, after a checkpoint.")

    @OptionGroup var place: PlacedRun

    @Option(help: "Only the processes of this machine.")
    var host: String?

    @Option(help: "Seconds that the learner has for the step that is being trained and a checkpoint.")
    var timeout = 600

    func validate() throws { try checkLimits([("--timeout", timeout, 86_400)]) }

    func run() async throws {
        try await placing(try place.folder) { [host, timeout] placement in
            let outcome = try await placement.down(host: host, learnerGrace: timeout)
            for failure in outcome.failures { printToStandardError("error: \(failure)") }
            if outcome.ended.isEmpty && outcome.failures.isEmpty { printToStandardError("nothing runs") }
            throw ExitCode(outcome.failures.isEmpty ? 0 : 1)
        }
    }
}

/// Which run of those that `opd up` has placed.
struct PlacedRun: ParsableArguments {
    @Argument(help: "The run's folder; needed where there are several in runs/.")
    var run: String?

    var folder: String {
        get throws {
            if let run {
                guard PlacementRecord.exists(in: PlacementRecord.folder(of: run)) else {
                    throw CommandError.usage(
                        "\(run) was not placed by 'opd up' of this folder: there is no \(run).hosts")
                }
                return run
            }
            let names = ((try? FileTree.names(in: "runs")) ?? []).filter { $0.hasSuffix(".hosts") }
                .map { "runs/" + $0.dropLast(".hosts".count) }
                .filter { PlacementRecord.exists(in: PlacementRecord.folder(of: $0)) }
            guard names.count == 1 else {
                throw CommandError.usage(
                    names.isEmpty
                        ? "no run in runs/ was placed by 'opd up'; give its folder"
                        : "name the run: \(names.joined(separator: ", "))")
            }
            return names[0]
        }
    }
}

/// Does something with a placed run; its connections are let go whatever comes of it.
private func placing(_ run: String, _ body: @escaping @Sendable (Placement) async throws -> Void) async throws {
    let shell = try HostShell()
    let placement = try Placement(run: run, shell: shell) { printToStandardError($0) }
    let work = Task { try await body(placement) }
    let stopping = StopSignal { _ in work.cancel() }
    defer { stopping.end() }
    let result = await work.result
    await shell.close()
    if stopping.isReceived { throw ExitCode(stopping.exitCode) }
    try result.get()
}
