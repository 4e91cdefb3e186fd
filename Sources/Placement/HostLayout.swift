import Randomness
import Wording

/// Where things are on a machine. Paths that do not begin with `/` are below ``folder``, and that below the home folder.
package struct HostLayout: Sendable, Equatable {
    /// The folder in which processes run there.
    package var folder: String
    /// Folder of what belongs to this run alone: its configuration, its keys, who runs, what they say.
    package var control: String
    package var program: String
    /// Folder of the libraries that the machine lacks; nil: none are brought there.
    package var libraries: String?
    package var configuration: String
    /// Whether this machine's files are used where they are.
    package var isHere: Bool
    /// Tells the machine whose files are brought there from others that bring files to that account.
    package var site = ""

    /// A machine that is reached by ssh.
    /// - Parameters:
    ///   - run: the run's name and its number, so that runs of one name that were placed from elsewhere, by the same
    ///     account there, have nothing in common.
    ///   - site: the machine that files are brought from.
    package static func elsewhere(folder: String, run: String, site: String) -> HostLayout {
        HostLayout(
            folder: folder, control: "up/\(run)", program: "bin/opd", libraries: "lib",
            configuration: "up/\(run)/run.yaml", isHere: false, site: site)
    }

    /// This machine.
    /// - Parameter records: the folder of the run's records here, from the root.
    package static func here(folder: String, program: String, records: String) -> HostLayout {
        HostLayout(
            folder: folder, control: "\(records)/here", program: program, libraries: nil,
            configuration: "\(records)/here.yaml", isHere: true)
    }

    /// Where a file of this machine, with its path from the root, is there: under its own name, in a folder that tells it
    /// from others of that name, and of other machines, so that it is the same one for every run that is placed from here.
    package func place(of path: String) -> String {
        guard !isHere else { return path }
        var hash = FNVHash()
        hash.add(site)
        hash.add(UInt8(0))
        hash.add(path)
        let name = path.split(separator: "/").last.map(String.init) ?? "root"
        return "files/\(hash.value.padded(to: 16, radix: 16))/\(name)"
    }

    /// Where a key is there.
    package func key(_ name: String) -> String { "\(control)/keys/\(name)" }
}
