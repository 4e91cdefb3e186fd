import Foundation
import Hashing

/// A page as the browser gets it: markup, style, scripts and data in one text.
struct PageMarkup {
    let title: String
    /// What the page begins with, as JSON.
    let document: String
    let library: ChartLibrary?
    /// Whether the page may ask its own server for more.
    var isLive = false

    var html: String {
        let scripts = [library?.script, Self.script].compactMap { $0.map { "\n\($0)\n" } }
        let policy = [
            "default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", "base-uri 'none'", "form-action 'none'",
            "connect-src \(isLive ? "'self'" : "'none'")",
            "script-src " + scripts.map { "'sha256-\(Self.hash(of: $0))'" }.joined(separator: " "),
        ].joined(separator: "; ")
        var page = Self.markup
        page = page.replacing("<!-- policy -->", with: Self.policyElement(policy), maxReplacements: 1)
        page = page.replacing("<!-- title -->", with: Self.escaped(RunText.cut(title, to: 200)), maxReplacements: 1)
        let style = (library.map { $0.style + "\n" } ?? "") + Self.style
        page = page.replacing("<!-- style -->", with: "<style>\n\(style)</style>", maxReplacements: 1)
        // Last, so that nothing in the data can pass for a place to be filled.
        guard let place = page.firstRange(of: "<!-- scripts -->") else { return page }
        let data = "<script type=\"application/json\" id=\"data\">\(Self.embedded(document))</script>\n"
        let code = scripts.map { "<script>\($0)</script>" }.joined(separator: "\n")
        return page[..<place.lowerBound] + data + code + page[place.upperBound...]
    }

    /// JSON that can stand in a script element: `<` is within strings only, and has another form there.
    static func embedded(_ json: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(json.utf8.count + 1024)
        for byte in json.utf8 {
            if byte == UInt8(ascii: "<") { bytes += Array("\\u003c".utf8) } else { bytes.append(byte) }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }

    private static func policyElement(_ policy: String) -> String {
        "<meta http-equiv=\"Content-Security-Policy\" content=\"\(policy)\">"
    }

    /// SHA-256 in base64, as a policy names a script.
    private static func hash(of script: String) -> String {
        var hash = SHA256()
        hash.update(Array(script.utf8))
        let digits = Array(hash.hexDigest.utf8)
        let bytes = stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
        }
        return Data(bytes).base64EncodedString()
    }

    private static let markup = String(decoding: PackageResources.page_html, as: UTF8.self)
    private static let style = String(decoding: PackageResources.page_css, as: UTF8.self)
    private static let script =
        String(decoding: PackageResources.text_js, as: UTF8.self)
        + String(decoding: PackageResources.curves_js, as: UTF8.self)
        + String(decoding: PackageResources.overview_js, as: UTF8.self)
        + String(decoding: PackageResources.tokens_js, as: UTF8.self)
        + String(decoding: PackageResources.stages_js, as: UTF8.self)
        + String(decoding: PackageResources.members_js, as: UTF8.self)
        + String(decoding: PackageResources.live_js, as: UTF8.self)
        + String(decoding: PackageResources.page_js, as: UTF8.self)
}
