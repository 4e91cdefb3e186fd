import Configuration
import Files
import Wording

/// Machines are checked, and get what they need, before anything is started on them.
extension Placement {
    /// Prepares machines at once.
    /// - Returns: those that are ready, and why others are not.
    func prepare(
        _ request: UpRequest, _ wanted: [PlacedProcess], _ record: PlacementRecord, _ ring: KeyRing?,
        _ hosts: Set<String>, _ looks: [String: Result<HostReport, HostError>]
    ) async -> (hosts: Set<String>, failures: [String]) {
        let learner = (try? looks[record.learner]?.get())?.facts["products"]
        let results = await each(hosts) { name throws(HostError) in
            guard let host = record.hosts[name], let look = try looks[name]?.get() else {
                throw HostError(name, "is in no record of this run")
            }
            if let learner, let own = look.facts["products"], own != learner {
                say(
                    "note: \(name): its CPU multiplies otherwise (\(own)) than the learner's (\(learner)): the run does not "
                        + "have the same bits as on one kind of machine")
            }
            let layout = layout(host, run: record.nameThere)
            let processes = wanted.filter { $0.host == name }
            let files = files(request, wanted, name, host, ring, record.nameThere)
            try check(look, name, layout)
            try await bring(files, processes, name, host, layout)
        }
        let ready = results.filter { if case .success = $0.value { true } else { false } }.map(\.key)
        return (Set(ready), results.values.compactMap(\.failureMessage).sorted())
    }

    private func check(_ look: HostReport, _ name: String, _ layout: HostLayout) throws(HostError) {
        guard look.facts["system"] == "Linux" else {
            throw HostError(name, "has \(look.facts["system"] ?? "no system that is known"), and opd is for Linux")
        }
        let machine = look.facts["machine"] ?? "?"
        guard machine == Self.machine else {
            throw HostError(
                name, "has a CPU of kind \(machine), and this program is for \(Self.machine); build it there")
        }
        let lacking = look.facts["lacking"]?.trimmed ?? ""
        guard lacking.isEmpty else { throw HostError(name, "lacks \(lacking); install util-linux and coreutils there") }
        guard layout.isHere || look.facts["rsync"]?.isEmpty == false else {
            throw HostError(name, "lacks rsync; install it there (Debian, Ubuntu: apt-get install rsync)")
        }
    }

    #if arch(x86_64)
        private static let machine = "x86_64"
    #elseif arch(arm64)
        private static let machine = "aarch64"
    #else
        private static let machine = "another"
    #endif

    /// Brings there what differs, and tries the program.
    private func bring(
        _ files: HostFiles, _ processes: [PlacedProcess], _ name: String, _ host: PlacementRecord.Host,
        _ layout: HostLayout
    ) async throws(HostError) {
        let settings = records.appendingPath("\(name).yaml")
        do { try FileTree.write(files.configuration.yaml(markingDefaults: false), to: settings) } catch {
            throw HostError(name, "\(error)")
        }
        guard !layout.isHere else { return }
        var all = [PlacedFile(source: program, place: layout.program, use: .program)] + files.files
        all.append(PlacedFile(source: settings, place: layout.configuration, use: .settings))
        let address = address(name, host)

        var script = HostScript(layout)
        script.make(folders: Set(all.map { $0.isFolder ? $0.place : $0.place.parentPath }).sorted())
        script.measure(all.map(\.place))
        let before = try await shell.run(script, on: address)
        if let problem = before.problems.first { throw HostError(name, problem) }
        let needed = all.reduce(0) { $0 + $1.byteCount } / 1024
        if let free = before.number("disk_kb"), let present = before.number("present_kb"), free + present < needed {
            throw HostError(
                name, "has \(Self.size(free)) free in \(layout.folder), and needs \(Self.size(needed - present)) more")
        }
        let models = processes.count * files.files.filter { $0.use == .model }.reduce(0) { $0 + $1.byteCount } / 1024
        if let memory = before.number("memory_kb"), memory < models {
            say("warning: \(name): has \(Self.size(memory)) of memory left for models of \(Self.size(models))")
        }
        let missing = max(0, needed - (before.number("present_kb") ?? 0))
        if missing > 1024 { say("\(name): copying \(Self.size(missing))") }
        for file in all { try await shell.copy(file, to: layout, on: address) }
        try await tryProgram(name, address, layout)
    }

    /// Sees that the program runs there, and brings the libraries that are missing.
    private func tryProgram(
        _ name: String, _ address: HostShell.Address, _ layout: HostLayout
    ) async throws(HostError) {
        var script = HostScript(layout)
        script.tryProgram()
        // A library that was brought may lack others.
        for _ in 0..<8 {
            let report = try await shell.run(script, on: address)
            if report.facts["version"] != nil { return }
            if let problem = report.problems.first { throw HostError(name, problem) }
            let missing = (report.facts["missing"] ?? "").split(separator: " ").map(String.init)
            let here = await shell.libraries(of: program)
            let unknown = missing.filter { here[$0] == nil }
            guard !missing.isEmpty, unknown.isEmpty else {
                throw HostError(
                    name,
                    "lacks \(unknown.joined(separator: ", ")); install the packages that have them there, as on this machine"
                )
            }
            say("\(name): copying \(missing.count) libraries that it lacks")
            var folder = HostScript(layout)
            folder.make(folders: [layout.libraries ?? "lib"])
            _ = try await shell.run(folder, on: address)
            for library in missing {
                let place = (layout.libraries ?? "lib").appendingPath(library)
                try await shell.copy(
                    PlacedFile(source: here[library]!, place: place, use: .library), to: layout, on: address)
            }
        }
        throw HostError(name, "the program does not find its libraries there, also with those of this machine")
    }

    private static func size(_ kilobytes: Int) -> String {
        kilobytes < 10 << 20 ? "\((kilobytes + 1023) / 1024) MiB" : "\(kilobytes >> 20) GiB"
    }
}
