import Configuration
import Files
import Glibc
import Wording

/// A run that is placed on machines: what `opd up`, `opd ps` and `opd down` share.
package struct Placement: Sendable {
    /// Tells a person what goes on, a line at a time.
    package typealias Say = @Sendable (String) -> Void

    let shell: HostShell
    let say: Say
    /// The folder of the run's records, and that of the command, both from the root.
    let records: String
    let directory: String
    /// This program.
    let program: String
    /// Tells this machine from others.
    let site: String

    /// - Parameter run: the run's folder as the configuration on this machine names it.
    package init(run: String, shell: HostShell, say: @escaping Say) throws(UsageError) {
        guard let here = getcwd(nil, 0) else { throw UsageError("the current folder is gone; change to another") }
        defer { free(here) }
        directory = String(cString: here)
        let folder = PlacementRecord.folder(of: run)
        records = folder.hasPrefix("/") ? folder : directory.appendingPath(folder)
        program = FileTree.target(ofLink: "/proc/self/exe") ?? "/proc/self/exe"
        self.shell = shell
        self.say = say
        // Images of containers may share the first, and machines that were set up alike the second.
        let machine = (try? FileTree.read("/etc/machine-id", limit: 256).trimmed) ?? ""
        let name = (try? FileTree.read("/proc/sys/kernel/hostname", limit: 256).trimmed) ?? ""
        site = "\(machine) \(name)"
    }

    /// - Parameter run: ``PlacementRecord/nameThere``.
    func layout(_ host: PlacementRecord.Host, run: String) -> HostLayout {
        host.ssh == nil
            ? .here(folder: host.folder, program: program, records: records)
            : .elsewhere(folder: host.folder, run: run, site: site)
    }

    func address(_ name: String, _ host: PlacementRecord.Host) -> HostShell.Address {
        HostShell.Address(host: name, ssh: host.ssh)
    }

    /// Machines that are talked to at once.
    private static let width = 32

    /// Does the same for many machines, some at a time; one that fails keeps no other from it.
    func each<Value: Sendable>(
        _ hosts: some Sequence<String>, _ body: @escaping @Sendable (String) async throws(HostError) -> Value
    ) async -> [String: Result<Value, HostError>] {
        await withTaskGroup(of: (String, Result<Value, HostError>).self) { group in
            var results: [String: Result<Value, HostError>] = [:]
            var rest = hosts.sorted()[...]
            func add() {
                guard let host = rest.popFirst() else { return }
                group.addTask {
                    do throws(HostError) { return (host, .success(try await body(host))) } catch {
                        return (host, .failure(error))
                    }
                }
            }
            for _ in 0..<Self.width { add() }
            while let (host, result) = await group.next() {
                results[host] = result
                add()
            }
            return results
        }
    }

    /// Runs a script on machines of a record.
    func run(
        _ record: PlacementRecord, on hosts: some Sequence<String>, limit: Duration = .seconds(60),
        _ script: @escaping @Sendable (String, HostLayout) -> HostScript = { HostScript($1) }
    ) async -> [String: Result<HostReport, HostError>] {
        await each(hosts) { name throws(HostError) in
            guard let host = record.hosts[name] else { throw HostError(name, "is in no record of this run") }
            let layout = layout(host, run: record.nameThere)
            let report = try await shell.run(script(name, layout), on: address(name, host), limit: limit)
            for problem in report.problems { say("warning: \(name): \(problem)") }
            return report
        }
    }
}
