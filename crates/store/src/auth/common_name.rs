//! The common name of a certificate's subject, which is a user's name.

use tonic::transport::CertificateDer;
use webpki::EndEntityCert;

use super::der::{OBJECT_ID, SEQUENCE, SET, any_element, element};

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
