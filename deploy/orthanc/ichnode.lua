-- Orthanc sends every CT series to ichnode as soon as nothing more has come of it for StableAge seconds.
-- "LuaScripts": ["/etc/orthanc/ichnode.lua"] and an entry "ichnode" in "DicomModalities" switch it on.
-- One association a series: its orderly end tells ichnode that the series is whole, and it need not wait.
-- Whether a series is a head CT to be read ichnode decides by all of its headers: forward more, not less.

local NODE = 'ichnode'   -- the name in DicomModalities

function OnStableSeries(seriesId, tags, metadata)
  -- Results come back into the same Orthanc: reports, pictures and maps are no CT images and go no further.
  if tags['Modality'] == 'CT' and metadata['RemoteAET'] ~= 'ICHAI' then
    -- A job of Orthanc's own, which sends the whole series; this script does not wait for it.
    RestApiPost('/modalities/' .. NODE .. '/store', DumpJson({ Resources = { seriesId }, Synchronous = false }), true)
  end
end
