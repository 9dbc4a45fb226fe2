; UNTESTED: written on Linux and never run. NSIS 3, called by build_windows.py with /DVERSION and /DFOLDER.
; Installs for the current user, without rights; registers nothing but itself; looks for no updates.
Unicode true
Name "Negatoscope ${VERSION} (research use only)"
OutFile "${FOLDER}\..\Negatoscope-${VERSION}-windows-x64.exe"
InstallDir "$LOCALAPPDATA\Programs\Negatoscope"
RequestExecutionLevel user
SetCompressor /SOLID lzma
Page directory
Page instfiles
UninstPage uninstConfirm
UninstPage instfiles

Section
  SetOutPath "$INSTDIR"
  File /r "${FOLDER}\*.*"
  CreateDirectory "$SMPROGRAMS\Negatoscope"
  CreateShortcut "$SMPROGRAMS\Negatoscope\Negatoscope.lnk" "$SYSDIR\wscript.exe" '"$INSTDIR\negatoscope.vbs"'
  CreateShortcut "$SMPROGRAMS\Negatoscope\Check this station.lnk" "$SYSDIR\cmd.exe" '/k "$INSTDIR\negatoscope.cmd" doctor'
  WriteUninstaller "$INSTDIR\uninstall.exe"
  WriteRegStr HKCU "Software\Microsoft\Windows\CurrentVersion\Uninstall\Negatoscope" "DisplayName" "Negatoscope ${VERSION}"
  WriteRegStr HKCU "Software\Microsoft\Windows\CurrentVersion\Uninstall\Negatoscope" "UninstallString" '"$INSTDIR\uninstall.exe"'
SectionEnd

Section "Uninstall"
  RMDir /r "$INSTDIR\runtime"
  Delete "$INSTDIR\negatoscope.cmd"
  Delete "$INSTDIR\negatoscope.vbs"
  Delete "$INSTDIR\THIRD-PARTY.txt"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  RMDir /r "$SMPROGRAMS\Negatoscope"
  DeleteRegKey HKCU "Software\Microsoft\Windows\CurrentVersion\Uninstall\Negatoscope"
SectionEnd
