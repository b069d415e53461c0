//! The common name of a certificate's subject, which is a user's name.

use tonic::transport::CertificateDer;
use webpki::EndEntityCert;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;

/// The bytes of object id 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The last common name of the subject, as Go's TLS library reads it; `None` if there is none that can be read.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    in_subject(certificate.subject())
}

/// `subject` is the content of the name's outer sequence.
fn in_subject(mut subject: &[u8]) -> Option<String> {
    let mut found = None;
    while !subject.is_empty() {
        let (mut set, rest) = element(subject, SET)?;
        while !set.is_empty() {
            let (attribute, others) = element(set, SEQUENCE)?;
            let (kind, value) = element(attribute, OBJECT_ID)?;
            if kind == COMMON_NAME {
                let (_, text, _) = any_element(value)?;
                found = Some(String::from_utf8(text.to_vec()).ok()?);
            }
            set = others;
        }
        subject = rest;
    }
    found
}

/// The content of the first element, which must be of this kind, and what follows it.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any_element(bytes)?;
    (found == kind).then_some((content, rest))
}

/// Kind and content of the first element, and what follows it.
fn any_element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, first], mut rest) = bytes.split_first_chunk::<2>()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81 => {
            let (&[length], after) = rest.split_first_chunk::<1>()?;
            rest = after;
            usize::from(length)
        }
        0x82 => {
            let (&length, after) = rest.split_first_chunk::<2>()?;
            rest = after;
            usize::from(u16::from_be_bytes(length))
        }
        // Longer than any name that is part of a certificate that was let in.
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::common_name;

    fn named(names: &[(DnType, &str)]) -> Option<String> {
        let mut params = CertificateParams::new(["client.example".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        let key = KeyPair::generate().unwrap();
        common_name(params.self_signed(&key).unwrap().der())
    }

    #[test]
    fn the_common_name_is_found_between_other_names() {
        let organization = (DnType::OrganizationName, "machines");
        assert_eq!(named(&[organization.clone(), (DnType::CommonName, "root")]).as_deref(), Some("root"));
        assert_eq!(named(&[(DnType::CommonName, "größe"), organization.clone()]).as_deref(), Some("größe"));
        let long = "n".repeat(300);
        assert_eq!(named(&[(DnType::CommonName, &long)]), Some(long));
        assert_eq!(named(&[organization]), None);
        assert_eq!(named(&[]), None);
    }
}
