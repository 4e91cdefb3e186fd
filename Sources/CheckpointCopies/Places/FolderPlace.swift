import Files
import Locking

/// A folder that this machine reaches: of another disk, or mounted from another machine.
package struct FolderPlace: CopyPlace {
    private let folder: String
    private let isStopped = Locked(false)
    package var name: String { folder }

    package init(_ folder: String) { self.folder = folder }

    package func list() throws(PlaceError) -> PlacedCopies {
        var copies = PlacedCopies()
        try attempt { () throws(FileError) in
            guard try FileTree.knownKind(folder) != .missing else { return }
            for name in try FileTree.names(in: folder) where try FileTree.knownKind("\(folder)/\(name)") == .folder {
                let list = "\(folder)/\(name)/\(CopyManifest.fileName)"
                copies.add(name, isComplete: try FileTree.knownKind(list) == .other)
            }
        }
        return copies
    }

    package func read(_ path: String, limit: Int) throws(PlaceError) -> [UInt8]? {
        let path = "\(folder)/\(path)"
        return try attempt { () throws(FileError) -> [UInt8]? in
            guard try FileTree.knownKind(path) != .missing else { return nil }
            return try OpenFile.reading(path, followsLinks: false).readAll(limit: limit)
        }
    }

    package func write(_ bytes: [UInt8], to path: String) throws(PlaceError) {
        try attempt { () throws(FileError) in
            try FileTree.createFolder(folder)
            try AtomicFile.removeUnfinished("\(folder)/\(path)")
            try FileTree.write(String(decoding: bytes, as: UTF8.self), to: "\(folder)/\(path)")
        }
    }

    package func delete(_ path: String) throws(PlaceError) {
        try attempt { () throws(FileError) in try FileTree.remove("\(folder)/\(path)") }
    }

    package func put(_ source: String, as name: String, _ manifest: CopyManifest) throws(PlaceError) {
        let partial = "\(folder)/\(PlacedCopies.partialPrefix)\(name)", final = "\(folder)/\(name)"
        try attempt { () throws(FileError) in
            try FileTree.remove(partial)
            try FileTree.createFolder(partial)
        }
        for file in manifest.files { try copy("\(source)/\(file.name)", to: "\(partial)/\(file.name)") }
        if let flaw = FileDigest.flaw(in: partial, manifest) {
            throw PlaceError(self.name, "\(name) has not arrived as it was: \(flaw)")
        }
        try attempt { () throws(FileError) in
            try FileTree.write(manifest.text, to: "\(partial)/\(CopyManifest.fileName)")
            try FileTree.sync(tree: partial)
        }
        let replaced = "\(folder)/\(PlacedCopies.replacedPrefix)\(name)"
        try attempt { () throws(FileError) in
            // At every moment there is a whole one: the copy that was there counts under the other name too.
            if try FileTree.knownKind("\(final)/\(CopyManifest.fileName)") == .other {
                try FileTree.remove(replaced)
                try FileTree.rename(final, to: replaced)
            } else {
                try FileTree.remove(final)
            }
            try FileTree.rename(partial, to: final)
            try FileTree.sync(folder)
            try FileTree.remove(replaced)
        }
    }

    package func sizes(of name: String, _ manifest: CopyManifest) throws(PlaceError) -> [String: UInt64] {
        var sizes: [String: UInt64] = [:]
        try attempt { () throws(FileError) in try add("", of: "\(folder)/\(name)", to: &sizes) }
        return sizes
    }

    private func add(_ prefix: String, of folder: String, to sizes: inout [String: UInt64]) throws(FileError) {
        for name in try FileTree.names(in: folder) {
            let path = "\(folder)/\(name)"
            switch try FileTree.knownKind(path) {
            case .folder: try add("\(prefix)\(name)/", of: path, to: &sizes)
            case .other: sizes[prefix + name] = try FileTree.size(path)
            case .link, .missing: break
            }
        }
    }

    package func get(_ name: String, _ manifest: CopyManifest, into target: String) throws(PlaceError) {
        for file in manifest.files { try copy("\(folder)/\(name)/\(file.name)", to: "\(target)/\(file.name)") }
    }

    package func remove(_ name: String) throws(PlaceError) {
        let path = "\(folder)/\(name)"
        try attempt { () throws(FileError) in
            // What is half gone must not look whole.
            try FileTree.remove("\(path)/\(CopyManifest.fileName)")
            try FileTree.remove(path)
        }
    }

    package func stop() { isStopped.withLock { $0 = true } }

    /// Copies the bytes of a file and puts them on disk.
    private func copy(_ source: String, to target: String) throws(PlaceError) {
        try attempt { () throws(FileError) in
            try FileTree.createFolder(FileTree.parent(of: target))
            let from = try OpenFile.reading(source, followsLinks: false)
            let to = try OpenFile(
                target, .writeOnly, [.create, .truncate, .noFollow],
                permissions: [
                    .ownerReadWrite, .groupReadWrite, .otherReadWrite,
                ])
            while !isStopped.withLock({ $0 }) {
                let bytes = try from.read(count: FileDigest.piece)
                if bytes.isEmpty { break }
                try to.write(bytes)
            }
            try to.sync()
        }
        // What is cut off here is not damaged there.
        if isStopped.withLock({ $0 }) { throw PlaceError(folder, "it was stopped") }
    }

    private func attempt<Result>(_ body: () throws(FileError) -> Result) throws(PlaceError) -> Result {
        do { return try body() } catch {
            let place = error.path.hasPrefix(folder) ? error.path : "\(folder): \(error.path)"
            throw PlaceError(place, "\(error.attempt.rawValue)\(error.reasonText)")
        }
    }
}
